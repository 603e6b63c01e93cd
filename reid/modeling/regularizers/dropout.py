"""Dropout of single elements."""

import torch
from torch import Tensor

from reid.modeling.regularizers.base import Regularizer
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.checks import DropRate, check_probability
from reid.utils.graphs import outside_graphs
from reid.utils.seeding import DeviceRNG


@REGULARIZERS.register("dropout")
class Dropout(Regularizer):
    """Zeroes elements independently with probability ``p`` and divides the others by 1 - p.

    Source: Srivastava et al., JMLR 15 (2014), in the inverted form that is usual today.

    Args:
        p: Probability of dropping a cell.

    Raises:
        ArgumentError: The probability is outside [0, 1].
    """

    def __init__(self, p: DropRate = 0.5) -> None:
        super().__init__()
        check_probability("p", p)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drops out of x, (B, C, H, W) or any other shape, in training."""
        if not self.training or self.p == 0:
            return x
        scale: Tensor = keep_scale(torch.empty_like(x), self.p, self.rng)
        return x * scale


@outside_graphs
def keep_scale(out: Tensor, p: float, rng: DeviceRNG) -> Tensor:
    """Fills ``out`` with 0 at probability ``p`` and 1 / (1 - p) elsewhere; with 0 if p is 1.

    Args:
        out: (B, C, H, W) or any other shape; overwritten.
        p: Probability of 0.
        rng: Generators of the numbers, by device.
    """
    out.bernoulli_(1 - p, generator=rng.on(out.device))
    return out.div_(1 - p) if p < 1 else out
