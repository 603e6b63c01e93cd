"""Dropout of single elements."""

import torch
from torch import Tensor, nn

from reid.modeling.regularizers.checks import check_probability
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.seeding import Dice


@REGULARIZERS.register("dropout")
class Dropout(nn.Module):
    """Zeroes elements independently with probability ``p`` and divides the others by 1 - p.

    Source: Srivastava et al., JMLR 15 (2014), in the inverted form that is usual today.
    """

    spatial = False

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        check_probability("dropout", p)
        self.p = p
        self.dice = Dice()

    def reseed(self, seed: int) -> None:
        """Starts its randomness anew."""
        self.dice.reseed(seed)

    def forward(self, x: Tensor) -> Tensor:
        """Drops out of x of any shape, in training."""
        if not self.training or self.p == 0:
            return x
        scale: Tensor = keep_scale(torch.empty_like(x), self.p, self.dice)
        return x * scale


@torch.compiler.disable  # type: ignore[untyped-decorator]
def keep_scale(out: Tensor, p: float, dice: Dice) -> Tensor:
    """Fills ``out`` with 0 at probability ``p`` and 1 / (1 - p) elsewhere; with 0 if p is 1."""
    out.bernoulli_(1 - p, generator=dice.on(out.device))
    return out.div_(1 - p) if p < 1 else out
