"""The base class of objectives: an objective is the loss that an attack raises."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.attacks.base import Loss
from reid.robustness.guides import Case
from reid.robustness.rngs import ImageRNGs


class Objective(ABC):
    """Builds the loss of a batch of images: one value for each image, which the attack raises.

    f is the feature that is compared, x the clean image, x' the attacked one. Arguments of
    ``__init__`` with a default are config keys: ``ATTACK.<NAME>.<ARGUMENT>``.

    Attributes:
        flat_at_clean: Whether its gradient at the clean image is zero, so that an attack must start
            at another point.
        targeted: Whether it moves images towards an identity drawn by ``Guides.targets``.
        redrawn: Whether each call of the loss draws new random numbers, so that two of its values
            cannot be compared.
        knows_ranking: Whether it looks at the whole ranking, so that an attack may choose between
            images by the AP of that ranking instead of the loss.
    """

    flat_at_clean: ClassVar[bool] = False
    targeted: ClassVar[bool] = False
    redrawn: ClassVar[bool] = False
    knows_ranking: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the loss, a function from (B, 3, H, W) images in [0, 1] to (B,) values.

        Args:
            embed: The model that the attacker sees; maps (B, 3, H, W) to (B, D).
            clean: (B, 3, H, W) images in [0, 1].
            case: Identities, cameras and positions of the images, and the other side.
            rngs: A generator for each image.
        """
