"""Local feature masking as the authors' released code does it."""

import torch
from torch import Tensor

from reid.modeling.regularizers.base import Regularizer
from reid.modeling.regularizers.boxes import (
    Boxes,
    check_enough_channels,
    draw_offset,
    draw_sizes,
    span,
)
from reid.modeling.regularizers.overwrite import overwrite
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.checks import (
    Area,
    Aspect,
    Count,
    Probability,
    check_count,
    check_interval,
    check_probability,
)
from reid.utils.graphs import outside_graphs


@REGULARIZERS.register("lfm_released")
class ReleasedLocalFeatureMasking(Regularizer):
    """Overwrites bands of rows as the released code does, for comparison with ``lfm``.

    The code draws rectangles but writes to ``x[i][c][y1 : y1 + h][x1 : x1 + w]``, which slices
    rows twice, with x1 drawn for rows and y1 for columns. What is written is rows x1 to x1 + w of
    the slice y1 to y1 + h, over the full width: on a 128 x 64 map nothing in 34 % of the cases,
    12.6 % of the cells on average, and hardly ever the lowest quarter. One coin decides for the
    whole batch, and one list of channels, drawn with replacement, serves all its samples.

    Source: function RandChannelDropout of the code released with arXiv:2407.13646.
    Differs: all samples are masked, not the first 8 only; map sizes are read, not fixed; never
    active in evaluation; random numbers come from a generator of the module.

    Args:
        p: Probability that a batch is masked.
        num_channels: Number of draws of a channel, with replacement; 32 draws from 64 channels give
            25.3 different ones on average.
        area: Range of the drawn rectangle's area / area of the map.
        aspect: Range of the drawn rectangle's height / width.

    Raises:
        ArgumentError: A value is outside its range: ``p`` [0, 1]; ``num_channels`` at least 1;
            ``area`` 0 < low <= high <= 1; ``aspect`` 0 < low <= high.
    """

    spatial = True

    def __init__(
        self,
        p: Probability = 0.15,
        num_channels: Count = 32,
        area: Area = (0.02, 0.4),
        aspect: Aspect = (0.3, 1 / 0.3),
    ) -> None:
        super().__init__()
        check_probability("p", p)
        check_count("num_channels", num_channels)
        check_interval("area", area, most=1)
        check_interval("aspect", aspect)
        self.p = p
        self.num_channels = num_channels
        self.area = area
        self.aspect = aspect

    def forward(self, x: Tensor) -> Tensor:
        """Masks x, (B, C, H, W) of any floating type, in training; x itself is never written to."""
        if not self.training:
            return x
        boxes = self.draw(*x.shape)
        if not len(boxes.sample):
            return x
        boxes = boxes.to(x.device)
        inside, value = last_written(boxes, x.shape[1], x.shape[2])
        every = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        return overwrite(x, boxes.sample, every, inside.unsqueeze(-1), value.unsqueeze(-1))

    @outside_graphs
    def draw(self, batch: int, channels: int, height: int, width: int) -> Boxes:
        """Draws what one forward pass masks, on the CPU; a channel may be listed repeatedly.

        Args:
            batch: Number of samples.
            channels: Number of channels of the map.
            height: Rows of the map.
            width: Columns of the map.

        Raises:
            ArgumentError: The map has fewer channels than ``num_channels``.
        """
        check_enough_channels(self.num_channels, channels)
        generator = self.rng.on(torch.device("cpu"))
        masked = bool(torch.rand((), generator=generator) < self.p)
        sample = torch.arange(batch if masked else 0)
        shape = (len(sample), self.num_channels)
        listed = torch.randint(channels, shape[1:], generator=generator).expand(shape)
        h, w = draw_sizes(shape, (height, width), self.area, self.aspect, generator)
        x1, y1 = draw_offset(height - h, generator), draw_offset(width - w, generator)
        fill = torch.rand(shape, generator=generator)
        top, rows = slice_twice(y1, h, x1, w, height)
        return Boxes(
            sample, listed, top, torch.zeros_like(w), rows, torch.full_like(w, width), fill
        )


def slice_twice(y1: Tensor, h: Tensor, x1: Tensor, w: Tensor, height: int) -> tuple[Tensor, Tensor]:
    """Returns first row and number of rows of ``m[y1 : y1 + h][x1 : x1 + w]``, m of that height.

    Args:
        y1: (n, k) int64, begin of the first slice.
        h: (n, k) int64, its length.
        x1: (n, k) int64, begin of the second slice, counted in the first.
        w: (n, k) int64, its length.
        height: Rows of m.
    """
    end = torch.minimum(y1 + h, y1 + x1 + w).clamp(max=height)
    return y1 + x1, (end - y1 - x1).clamp(min=0)


def last_written(boxes: Boxes, channels: int, height: int) -> tuple[Tensor, Tensor]:
    """Lets later draws of a channel overwrite earlier ones, row by row.

    Args:
        boxes: Bands of rows; a channel may be listed repeatedly.
        channels: Number of channels of the map.
        height: Rows of the map.

    Returns:
        Two of (n, channels, height), which rows are overwritten, and with what.
    """
    bands = span(boxes.top, boxes.height, height)  # (n, k, height)
    n, k = boxes.channels.shape
    order = torch.arange(1, k + 1, device=bands.device).unsqueeze(1) * bands
    last = torch.zeros(n, channels, height, dtype=torch.int64, device=bands.device)
    last.scatter_reduce_(1, boxes.channels.unsqueeze(-1).expand_as(bands), order, "amax")
    value = boxes.fill.gather(1, (last - 1).clamp(min=0).flatten(1)).view_as(last)
    return last > 0, value
