"""The table of attack objectives, and what one is."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.optimizers.registry import Loss
from reid.utils.registry import Registry


class Objective(Protocol):
    """What an attack raises. Its arguments with a default are config keys.

    Attributes:
        flat_at_clean: Whether its gradient at the clean image is zero, so that an optimizer has to
            start elsewhere.
        targeted: Whether it pulls towards a drawn identity (``Guides.targets``).
        redrawn: Whether each call draws anew, so that values of two calls do not compare.
    """

    flat_at_clean: bool
    targeted: bool
    redrawn: bool

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """Returns the loss of a batch, one value an image, always to be raised."""


OBJECTIVES: Registry[Callable[..., Any]] = Registry("attack objective")
