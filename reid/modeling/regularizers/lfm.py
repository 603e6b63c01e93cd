"""Local feature masking."""

from typing import Literal, get_args

import torch
from torch import Tensor

from reid.modeling.regularizers.base import Regularizer
from reid.modeling.regularizers.boxes import Boxes, check_enough_channels, draw_offset, draw_sizes
from reid.modeling.regularizers.fills import (
    ABSOLUTE,
    Fill,
    absolute_values,
    channel_values,
    moments,
)
from reid.modeling.regularizers.overwrite import overwrite
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.checks import (
    Area,
    Aspect,
    Count,
    Probability,
    check_choice,
    check_count,
    check_interval,
    check_probability,
)
from reid.utils.graphs import outside_graphs
from reid.utils.seeding import forked

Place = Literal["box", "cells"]


@REGULARIZERS.register("lfm")
class LocalFeatureMasking(Regularizer):
    """Overwrites one random rectangle in each of some random channels of some random samples.

    All numbers are drawn on the CPU: one seed gives one mask on every device, and the host never
    waits for the device.

    Source: Gong et al., "Beyond Dropout", IJCNN 2024, arXiv:2407.13646; numbers from the released
    code. There it sits behind the first convolution, before the batch normalization.
    Differs: from the released code, see ``lfm_released``; ``fill`` and ``place`` are additions.

    Args:
        p: Probability that a sample is masked.
        num_channels: Number of distinct channels that are masked in such a sample.
        area: Range of the rectangle's area / area of the map.
        aspect: Range of the rectangle's height / width; this ratio is uniform, not its logarithm.
        fill: The one value written into a rectangle: ``uniform``, drawn from [0, 1); ``zero``;
            ``mean``, the channel's mean in that sample; ``normal`` and ``scaled``, drawn from the
            normal and from the uniform distribution with the channel's mean and standard deviation
            in that sample. The same seed gives the same rectangles under every fill.
        place: Where the value goes: ``box``, into the rectangle; or ``cells``, into as many single
            cells of the channel, drawn without replacement. The same seed gives the same samples,
            channels, numbers of cells and random numbers for the values at either place.

    Raises:
        ArgumentError: A value is outside its range: ``p`` [0, 1]; ``num_channels`` at least 1;
            ``area`` 0 < low <= high <= 1; ``aspect`` 0 < low <= high; or ``fill`` or ``place`` is
            unknown.

    Examples:
        >>> import torch
        >>> x = torch.full((1, 64, 16, 8), 2.0)  # no value of [0, 1) is equal to it
        >>> masking = LocalFeatureMasking(p=1.0, num_channels=32)
        >>> int((masking.train()(x) != x).flatten(2).any(2).sum())  # channels that are masked
        32
        >>> torch.equal(masking.eval()(x), x)
        True
    """

    spatial = True
    in_place = False  # True where nothing else reads the map that comes in, which saves a copy

    def __init__(
        self,
        p: Probability = 0.15,
        num_channels: Count = 32,
        area: Area = (0.02, 0.4),
        aspect: Aspect = (0.3, 1 / 0.3),
        fill: Fill = "uniform",
        place: Place = "box",
    ) -> None:
        super().__init__()
        check_probability("p", p)
        check_count("num_channels", num_channels)
        check_interval("area", area, most=1)
        check_interval("aspect", aspect)
        check_choice("fill", fill, get_args(Fill))
        check_choice("place", place, get_args(Place))
        self.p = p
        self.num_channels = num_channels
        self.area = area
        self.aspect = aspect
        self.fill = fill
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        """Masks x, (B, C, H, W) of any floating type, in training; writes to it if ``in_place``."""
        if not self.training:
            return x
        boxes = self.draw(*x.shape)
        if not len(boxes.sample):
            return x
        if self.place == "cells":
            inside = self.draw_cells(boxes, *x.shape[2:]).to(x.device, non_blocking=True)
            boxes = boxes.to(x.device)
        else:
            boxes = boxes.to(x.device)
            inside = boxes.inside(*x.shape[2:])
        values = self._values(x, boxes)
        return overwrite(x, boxes.sample, boxes.channels, inside, values, self.in_place)

    @outside_graphs
    def draw(self, batch: int, channels: int, height: int, width: int) -> Boxes:
        """Draws what one forward pass masks, on the CPU.

        On a very small map a rectangle can round to nothing; its channel then stays as it is.

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
        sample = (torch.rand(batch, generator=generator) < self.p).nonzero().flatten()
        # The first k positions of a random order are a uniform choice of k distinct channels.
        order = torch.rand(len(sample), channels, dtype=torch.float64, generator=generator)
        chosen = order.argsort(1)[:, : self.num_channels]
        shape = (len(sample), self.num_channels)
        grid = (height, width)
        h, w = draw_sizes(shape, grid, self.area, self.aspect, generator)
        top, left = draw_offset(height - h, generator), draw_offset(width - w, generator)
        fill = torch.rand(shape, generator=generator)
        return Boxes(sample, chosen, top, left, h, w, fill)

    @outside_graphs
    def draw_cells(self, boxes: Boxes, height: int, width: int) -> Tensor:
        """Draws single cells, as many as each rectangle has, on the CPU: (n, k, H, W) bool.

        Their numbers come from a generator of their own, so that the next pass draws the same
        rectangles whether this one wrote into them or into cells.

        Args:
            boxes: What :meth:`draw` returned.
            height: Rows of the map.
            width: Columns of the map.
        """
        generator = forked(self.rng.on(torch.device("cpu")))
        count = (boxes.height * boxes.width).unsqueeze(-1)
        shape = (*boxes.fill.shape, height * width)
        # The first m positions of a random order are a uniform choice of m cells.
        order = torch.rand(shape, dtype=torch.float64, generator=generator).argsort(-1)
        first = torch.arange(height * width) < count
        inside = torch.zeros(shape, dtype=torch.bool).scatter_(-1, order, first)
        return inside.unflatten(-1, (height, width))

    def _values(self, x: Tensor, boxes: Boxes) -> Tensor:
        """Returns the value of each rectangle, (n, k, 1, 1)."""
        uniform = boxes.fill[..., None, None]
        if self.fill in ABSOLUTE:
            return absolute_values(self.fill, uniform)
        return channel_values(
            self.fill, uniform, *moments(x[boxes.sample[:, None], boxes.channels])
        )
