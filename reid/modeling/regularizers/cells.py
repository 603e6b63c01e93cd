"""Masking of single cells."""

from typing import get_args

import torch
from torch import Tensor

from reid.modeling.regularizers.base import Regularizer
from reid.modeling.regularizers.fills import (
    ABSOLUTE,
    Fill,
    absolute_values,
    channel_values,
    moments,
)
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.checks import Probability, check_choice, check_probability
from reid.utils.graphs import outside_graphs


@REGULARIZERS.register("cells")
class CellMasking(Regularizer):
    """Overwrites each cell of the map by itself, with a value of its own and without rescaling.

    It writes what ``lfm`` writes, as often on average, but knows no rectangles, no channels and no
    samples: LFM's values without its places. ``dropout`` with the same ``p`` differs from fill
    ``zero`` in that it rescales the other cells. All numbers are drawn on the CPU, as in ``lfm``.

    Source: none; a control for LFM, from this project.

    Args:
        p: Probability that a cell is overwritten; the default is LFM's share of the cells behind
            conv1, 0.15 * 32/64 * 0.2042.
        fill: Each cell's value: ``uniform``, drawn from [0, 1); ``zero``; ``mean``, the channel's
            mean in that sample; ``normal`` and ``scaled``, drawn from the normal and from the
            uniform distribution with the channel's mean and standard deviation in that sample. The
            same seed gives the same cells under every fill.

    Raises:
        ArgumentError: ``p`` is outside [0, 1], or ``fill`` is unknown.
    """

    # It is also defined on the pooled feature, where a channel is a cell.
    spatial = False
    in_place = False  # True where nothing else reads the map that comes in, which saves a copy

    def __init__(self, p: Probability = 0.0153, fill: Fill = "uniform") -> None:
        super().__init__()
        check_probability("p", p)
        check_choice("fill", fill, get_args(Fill))
        self.p = p
        self.fill = fill

    def forward(self, x: Tensor) -> Tensor:
        """Masks x, (B, C, H, W) of any floating type, in training; writes to it if ``in_place``."""
        if not self.training or self.p == 0:
            return x
        cells, uniform = self.draw(x.numel())
        cells = cells.to(x.device, non_blocking=True)
        values = self._values(x, cells, uniform.to(x.device, non_blocking=True)).to(x.dtype)
        # No gradient flows into the cells that index_put overwrites.
        write = x.index_put_ if self.in_place else x.index_put
        return write(torch.unravel_index(cells, x.shape), values)

    @outside_graphs
    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Draws which of ``count`` cells are overwritten, on the CPU.

        A coin for every cell would take longer than the network's first layer. The number of cells
        that a coin of probability p leaves out before the next one has a geometric distribution:
        P(gap >= g) = (1 - p)^g.

        Args:
            count: Number of cells of the map.

        Returns:
            The cells, (m,) int64, ascending positions, and a random number in [0, 1) for each, (m,)
            float32, that decides its value.
        """
        generator = self.rng.on(torch.device("cpu"))
        log_left = torch.log1p(-torch.tensor(self.p, dtype=torch.float64))
        mean = count * self.p
        some = int(mean + 6 * mean**0.5) + 10  # nearly always enough
        cells = torch.empty(0, dtype=torch.int64)
        last = -1
        while last < count:
            uniform = torch.rand(some, dtype=torch.float64, generator=generator)
            gaps = (torch.log1p(-uniform) / log_left).clamp(max=count).long()
            cells = torch.cat([cells, last + (gaps + 1).cumsum(0)])
            last = int(cells[-1])
        cells = cells[cells < count]
        return cells, torch.rand(len(cells), generator=generator)

    def _values(self, x: Tensor, cells: Tensor, uniform: Tensor) -> Tensor:
        """Returns the value of each cell, (m,)."""
        if self.fill in ABSOLUTE:
            return absolute_values(self.fill, uniform)
        channel = cells // x[0, 0].numel()
        mean, sd = (moment.flatten()[channel] for moment in moments(x))
        return channel_values(self.fill, uniform, mean, sd)
