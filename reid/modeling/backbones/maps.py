"""Feature maps in the layouts that networks have: (B, C, h, w), (B, h, w, C), or tokens."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Size = tuple[int, int]
MapFunction = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layout:
    """How an output of a network holds a feature map.

    Attributes:
        kind: ``nchw`` (B, C, h, w); ``nhwc`` (B, h, w, C); ``tokens`` (B, prefix + h w, C), whose
            patch tokens go row by row.
        prefix: Number of tokens in front of the patch tokens: class and register tokens.
    """

    kind: Literal["nchw", "nhwc", "tokens"]
    prefix: int = 0

    def as_map(self, output: Tensor, size: Size) -> Tensor:
        """Returns a view of the output as (B, C, h, w).

        Args:
            output: Output of the network in this layout.
            size: (H, W) of the images.
        """
        if self.kind == "nchw":
            return output
        if self.kind == "nhwc":
            return output.permute(0, 3, 1, 2)
        patches = output[:, self.prefix :]
        grid = grid_of(patches.shape[1], size)
        assert grid is not None, "the layout was found for images of another shape"
        return patches.transpose(1, 2).unflatten(2, grid)

    def through(self, function: MapFunction, output: Tensor, size: Size) -> Tensor:
        """Returns the output with its map replaced by ``function`` of the map.

        Tokens in front of the patch tokens stay as they are.

        Args:
            function: Maps (B, C, h, w) to the same shape.
            output: Output of the network in this layout.
            size: (H, W) of the images.
        """
        before = self.as_map(output, size)
        after = function(before)
        if after is before or self.kind == "nchw":
            return output if after is before else after
        if self.kind == "nhwc":
            return after.permute(0, 2, 3, 1)
        patches = after.flatten(2).transpose(1, 2)
        return torch.cat([output[:, : self.prefix], patches], 1) if self.prefix else patches


def find_layout(
    shape: tuple[int, ...], size: Size, prefix: int = 0, nhwc: bool = False
) -> Layout | None:
    """Returns the layout of an output, or None if it holds no feature map.

    A map has the height / width of the images, but for a row or a column that was rounded.

    Args:
        shape: Shape of the output, with the batch.
        size: (H, W) of the images.
        prefix: Number of tokens that the network puts in front of the patch tokens.
        nhwc: Whether (B, h, w, C) is taken where a shape can be both.
    """
    if len(shape) == 3:
        # Some networks do not tell that they have a class token.
        fits = [n for n in (prefix, 0, 1) if shape[1] > n and grid_of(shape[1] - n, size)]
        return Layout("tokens", fits[0]) if fits else None
    if len(shape) != 4:
        return None
    # A convolution without padding takes away a row or two.
    first, last = _is_grid(shape[2:4], size, slack=2), _is_grid(shape[1:3], size, slack=2)
    if last and (nhwc or not first):
        return Layout("nhwc")
    return Layout("nchw") if first else None


def grid_of(cells: int, size: Size) -> Size | None:
    """Returns (h, w) of a map with this number of cells, or None if no such map has the shape.

    Args:
        cells: h w.
        size: (H, W) of the images.
    """
    wanted = math.sqrt(cells * size[0] / size[1])
    heights = [h for h in range(1, cells + 1) if cells % h == 0]
    height = min(heights, key=lambda h: abs(math.log(h / wanted)))
    grid = (height, cells // height)
    return grid if _is_grid(grid, size, slack=1) else None


def _is_grid(grid: tuple[int, ...], size: Size, slack: int) -> bool:
    """Says whether images of ``size``, made smaller by one factor, give this (h, w).

    Args:
        grid: (h, w).
        size: (H, W) of the images.
        slack: By how many rows and columns the map may be larger or smaller.
    """
    height, width = grid
    if height > size[0] or width > size[1]:
        return False
    # The factors that give h - slack to h + slack rows, and as many columns.
    low = max(size[0] / (height + slack), size[1] / (width + slack))
    high = min(size[0] / max(height - slack, 1e-9), size[1] / max(width - slack, 1e-9))
    return low < high
