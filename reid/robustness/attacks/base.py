"""What an attack is: a search, within a ball around an image, for a greater loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from torch import Tensor

from reid.robustness.ball import Ball
from reid.robustness.rngs import ImageRNGs

Loss: TypeAlias = Callable[[Tensor], Tensor]  # (B, 3, H, W) in [0, 1] -> (B,), one for each image


class Attack(ABC):
    """Searches for images in a ball that raise a loss.

    ``__init__`` takes ``eps``, the radius in [0, 1] units of a pixel, which is filled in. Arguments
    with a default are config keys: ``ATTACK.<NAME>.<ARGUMENT>``. An argument ``steps`` is the
    number of gradient steps, and ``step`` the size of one in units of eps, in every attack.

    Attributes:
        ball: Where the images may be; set it in ``__init__``.
        uses_gradient: False where the loss is only evaluated.
        compares: Whether it chooses between images by the values of their losses.
        leaves_start: Whether it moves away from the clean image before it takes a gradient.
    """

    ball: Ball
    uses_gradient: ClassVar[bool] = True
    compares: bool = False
    leaves_start: bool = False

    @abstractmethod
    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns perturbed images, (B, 3, H, W), within the ball around ``clean`` and in [0, 1].

        Args:
            loss: What to raise.
            clean: (B, 3, H, W) in [0, 1].
            rngs: A generator for each image, so that the result does not depend on the batch.
        """
