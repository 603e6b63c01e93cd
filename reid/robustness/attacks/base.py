"""The base class of attacks: an attack searches a ball around an image for a greater loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from torch import Tensor

from reid.robustness.ball import Ball
from reid.robustness.rngs import ImageRNGs

Loss: TypeAlias = Callable[[Tensor], Tensor]  # (B, 3, H, W) in [0, 1] -> (B,), one for each image


class Attack(ABC):
    """Searches a ball for images with a greater loss.

    The builder passes ``eps`` to ``__init__``: the radius in [0, 1] units of a pixel. Arguments
    with a default are config keys: ``ATTACK.<NAME>.<ARGUMENT>``. An argument ``steps`` is the
    number of gradient steps, and ``step`` the size of one step in units of ``eps``.

    Attributes:
        ball: The allowed images; ``__init__`` sets it.
        uses_gradient: Whether it takes gradients; False if it only evaluates the loss.
        compares: Whether it chooses between images by their losses.
        leaves_start: Whether it leaves the clean image before it takes the first gradient.
        takes_stages: Whether it can raise several losses one after the other.
    """

    ball: Ball
    uses_gradient: ClassVar[bool] = True
    compares: bool = False
    leaves_start: bool = False
    takes_stages: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns perturbed images, (B, 3, H, W), within the ball around ``clean`` and in [0, 1].

        Args:
            loss: The loss to raise; maps (B, 3, H, W) in [0, 1] to (B,).
            clean: (B, 3, H, W) in [0, 1].
            rngs: A generator for each image, so that the result does not depend on the batches.
        """
