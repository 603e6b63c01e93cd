"""The table of attack optimizers, and what one is."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from torch import Tensor

from reid.robustness.ball import Ball
from reid.robustness.draws import Draws
from reid.utils.registry import Registry

Loss: TypeAlias = Callable[[Tensor], Tensor]  # (B, 3, H, W) in [0, 1] -> (B,), each its own


class Optimizer(Protocol):
    """Seeks images in a ball that raise a loss. Its arguments with a default are config keys.

    Attributes:
        ball: What a perturbation may be.
        uses_gradient: False where the loss is only evaluated.
    """

    ball: Ball
    uses_gradient: bool

    @property
    def compares(self) -> bool:
        """Whether it chooses between images by the values of their losses."""

    @property
    def leaves_start(self) -> bool:
        """Whether it moves away from the clean image before it takes a gradient."""

    def __call__(self, loss: Loss, clean: Tensor, draws: Draws) -> Tensor:
        """Returns perturbed images, within the ball around ``clean`` and in [0, 1]."""


OPTIMIZERS: Registry[Callable[..., Any]] = Registry("attack optimizer")
