"""Dropout of square blocks."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.modeling.regularizers.base import Regularizer
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.checks import Count, DropRate, check_count, check_probability
from reid.utils.graphs import outside_graphs


@REGULARIZERS.register("dropblock")
class DropBlock(Regularizer):
    """Zeroes squares of a feature map and divides the other cells by their fraction of the map.

    Every channel of every sample draws its own blocks, the variant that the paper found to work
    better than one mask for all channels. Blocks lie wholly inside the map. They may overlap, so
    that a little less than ``p`` is dropped. The scale is one number for the whole tensor.

    Source: Ghiasi, Lin & Le, "DropBlock", NeurIPS 2018, arXiv:1810.12890, algorithm 1 and
    equation 1.
    Differs: a block larger than the map is cut to the map's smaller side; ``p`` is constant, while
    the paper raises it in the course of training.

    Args:
        p: Fraction of the map to drop, 1 - keep_prob of the paper.
        block_size: Side of a block in cells.

    Raises:
        ArgumentError: p is outside [0, 1], or the side is no whole number of at least 1.
    """

    spatial = True

    def __init__(self, p: DropRate = 0.1, block_size: Count = 7) -> None:
        super().__init__()
        check_probability("p", p)
        check_count("block_size", block_size)
        self.p = p
        self.block_size = block_size

    def forward(self, x: Tensor) -> Tensor:
        """Drops blocks of x, (B, C, H, W), in training."""
        if not self.training or self.p == 0:
            return x
        size = min(self.block_size, *x.shape[2:])
        corners = self.draw(x, size)
        # A cell is dropped if a block's corner is among the size x size cells above and left of it.
        kept = 1 - F.max_pool2d(F.pad(corners, [size - 1] * 4), size, stride=1)
        scale = kept.numel() / kept.sum().clamp(min=1)
        return x * (kept * scale).to(x.dtype)

    @outside_graphs
    def draw(self, x: Tensor, size: int) -> Tensor:
        """Draws 1 where a block's top left corner is and 0 elsewhere.

        Args:
            x: (B, C, H, W); only its shape and device are used.
            size: Side of a block in cells, s.

        Returns:
            (B, C, H - s + 1, W - s + 1) float32.
        """
        batch, channels, height, width = x.shape
        room = (height - size + 1) * (width - size + 1)
        gamma = self.p / size**2 * (height * width / room)
        shape = (batch, channels, height - size + 1, width - size + 1)
        corners = torch.empty(shape, device=x.device)
        return corners.bernoulli_(gamma, generator=self.rng.on(x.device))
