"""Random rectangles on feature maps, drawn on the CPU."""

from typing import NamedTuple

import torch
from torch import Tensor

from reid.utils.errors import ArgumentError

# The same rule as in reid/data/augmentation/rectangle.py, for many maps and torch's generator.
ATTEMPTS = 100


class Boxes(NamedTuple):
    """Which cells of a batch are overwritten: k rectangles in each of n samples.

    Attributes:
        sample: (n,) int64, position in the batch, ascending.
        channels: (n, k) int64.
        top: (n, k) int64, first row.
        left: (n, k) int64, first column.
        height: (n, k) int64, rows; 0 leaves the channel as it is.
        width: (n, k) int64, columns; 0 leaves the channel as it is.
        fill: (n, k) float32, uniform in [0, 1), the random number that decides the new value.
    """

    sample: Tensor
    channels: Tensor
    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    fill: Tensor

    def to(self, device: torch.device) -> "Boxes":
        """Returns the boxes on ``device`` without waiting for it."""
        return Boxes(*(field.to(device, non_blocking=True) for field in self))

    def inside(self, height: int, width: int) -> Tensor:
        """Returns the rectangles as (n, k, height, width) bool.

        Args:
            height: Rows of the map.
            width: Columns of the map.
        """
        rows = span(self.top, self.height, height)
        columns = span(self.left, self.width, width)
        return rows.unsqueeze(-1) & columns.unsqueeze(-2)


def check_enough_channels(wanted: int, channels: int) -> None:
    """Checks that a feature map has at least the ``wanted`` number of channels.

    Args:
        wanted: Value of the argument ``num_channels``.
        channels: Number of channels of the map.

    Raises:
        ArgumentError: The map has fewer channels.
    """
    if wanted > channels:
        raise ArgumentError(
            "num_channels",
            f"is {wanted} but the feature map has {channels} channels; set it to {channels} or"
            " less, or choose a deeper stage",
        )


def span(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Returns (..., size) bool, true from ``start`` on for ``length`` cells.

    Args:
        start: First cell of each, of any shape.
        length: Number of cells of each, the same shape.
        size: Cells of the whole line.
    """
    cells = torch.arange(size, device=start.device)
    start, end = start.unsqueeze(-1), (start + length).unsqueeze(-1)
    return (cells >= start) & (cells < end)


def draw_sizes(
    shape: tuple[int, int],
    grid: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Draws heights and widths, each ``shape`` int64, of rectangles on an (H, W) ``grid``.

    Area / area of the map and height / width are uniform. A rectangle must be smaller than the grid
    on both sides; others are drawn again, and after 100 draws height and width are 0.

    Args:
        shape: (n, k): n samples with k rectangles each.
        grid: (H, W) of the map in cells.
        area: Range of the area / area of the map.
        aspect: Range of height / width.
        generator: Generator of the numbers; None is torch's global one.
    """
    height = torch.zeros(shape[0] * shape[1], dtype=torch.int64)
    width = torch.zeros_like(height)
    undecided = torch.arange(len(height))
    for _ in range(ATTEMPTS):
        fraction, ratio = torch.rand(2, len(undecided), dtype=torch.float64, generator=generator)
        cells = (area[0] + (area[1] - area[0]) * fraction) * (grid[0] * grid[1])
        ratio = aspect[0] + (aspect[1] - aspect[0]) * ratio
        h, w = (cells * ratio).sqrt().round().long(), (cells / ratio).sqrt().round().long()
        fits = (h < grid[0]) & (w < grid[1])
        height[undecided[fits]] = h[fits]
        width[undecided[fits]] = w[fits]
        undecided = undecided[~fits]
        if not len(undecided):
            break
    return height.view(shape), width.view(shape)


def draw_offset(room: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws one integer from {0, ..., room} for every element of ``room``, (n, k) int64.

    Args:
        room: (n, k) int64, largest offset of each.
        generator: Generator of the numbers; None is torch's global one.
    """
    # In float64 the product stays below room + 1; in float32 it can round up to it.
    rng = torch.rand(room.shape, dtype=torch.float64, generator=generator)
    return (rng * (room + 1)).long()
