"""Cutout of one square."""

import torch
from torch import Tensor

from reid.modeling.regularizers.base import Regularizer
from reid.modeling.regularizers.boxes import span
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.checks import Probability, Share, check_probability, check_range
from reid.utils.graphs import outside_graphs


@REGULARIZERS.register("cutout")
class Cutout(Regularizer):
    """Zeroes one square of some random samples in all channels.

    The centre is uniform over the map, so that a part of the square may lie outside. Of a square of
    s cells in a column of H cells s - s^2 / 4H are inside on average. At stage ``input`` zero is
    the pixel mean, as in the paper. All numbers are drawn on the CPU, as in ``lfm``.

    Source: DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout", arXiv:1708.04552; 16 of 32 pixels on CIFAR-10, 8 on CIFAR-100, always applied.
    Differs: the side is a fraction of the map's shorter side, so that it means the same at every
    resolution. The centre may lie between cells, so that a square of even side has no preferred
    direction.

    Args:
        p: Probability that a sample is masked.
        side: Side of the square as a fraction of the map's shorter side, in (0, 1]; it is rounded
            to whole cells, at least one.

    Raises:
        ArgumentError: A value is outside its range.
    """

    spatial = True

    def __init__(self, p: Probability = 1.0, side: Share = 0.5) -> None:
        super().__init__()
        check_probability("p", p)
        check_range("side", side, 0, 1, above=True)
        self.p = p
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Masks x, (B, C, H, W) of any floating type, in training."""
        if not self.training or self.p == 0:
            return x
        batch, _, height, width = x.shape
        corners = self.draw(batch, height, width).to(x.device, non_blocking=True)
        top, left, side = corners.unbind(1)
        rows, columns = span(top, side, height), span(left, side, width)
        # Not x.masked_fill(inside, 0), which loses the memory format where the mask is broadcast.
        inside = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
        return torch.where(inside, x.new_zeros(()), x)

    @outside_graphs
    def draw(self, batch: int, height: int, width: int) -> Tensor:
        """Draws (top, left, side) of each sample's square on the CPU, (batch, 3) int64.

        Top and left may be negative; a sample that stays as it is has side 0.

        Args:
            batch: Number of samples.
            height: Rows of the map.
            width: Columns of the map.
        """
        side = max(1, round(self.side * min(height, width)))
        coin, *position = torch.rand(
            3, batch, dtype=torch.float64, generator=self.rng.on(torch.device("cpu"))
        )
        centers = (
            fraction * size for fraction, size in zip(position, (height, width), strict=True)
        )
        top, left = ((center - side / 2).round().long() for center in centers)
        return torch.stack([top, left, side * (coin < self.p)], 1)
