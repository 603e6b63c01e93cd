"""AutoAugment: two operations of a policy that was learned on ImageNet."""

from typing import Annotated

import numpy as np

from reid.data.augmentation.base import Row
from reid.data.augmentation.operations import NAMES, PolicyAugmentation, Space, signed
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.utils.checks import Probability, Range

_FREE = 0  # the level of an operation that has none
# 25 pairs of (operation, probability, level of 0 to 9): table 9 of the paper.
POLICY = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, _FREE)),
    (("equalize", 0.8, _FREE), ("equalize", 0.6, _FREE)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, _FREE), ("solarize", 0.2, 4)),
    (("equalize", 0.4, _FREE), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, _FREE)),
    (("posterize", 0.8, 5), ("equalize", 1.0, _FREE)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, _FREE), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, _FREE)),
    (("equalize", 0.0, _FREE), ("equalize", 0.8, _FREE)),
    (("invert", 0.6, _FREE), ("equalize", 1.0, _FREE)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, _FREE)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, _FREE)),
    (("color", 0.4, 0), ("equalize", 0.6, _FREE)),
    (("equalize", 0.4, _FREE), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, _FREE)),
    (("invert", 0.6, _FREE), ("equalize", 1.0, _FREE)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, _FREE), ("equalize", 0.6, _FREE)),
)


@AUGMENTATIONS.register("autoaugment")
class AutoAugment(PolicyAugmentation):
    """Does one of 25 pairs of operations, each of the two with a probability of its own.

    It works on the host, see :attr:`Augmentation.on_host_only`. The pixels are those of
    torchvision's AutoAugment with the policy IMAGENET, on PIL images.

    Source: Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data",
    arXiv:1805.09501. fast-reid applies it to an image with probability 0.1.
    Differs: fast-reid leaves out most pairs of the policy, and augments before it resizes.

    Args:
        prob: Probability that a pair is chosen for an image.
        fill: Colour of pixels from outside the image, RGB in [0, 1].

    Raises:
        ArgumentError: The probability or the colour is outside [0, 1].
    """

    pairs = 2

    def __init__(
        self,
        prob: Probability = 0.1,
        fill: Annotated[tuple[float, float, float], Range(0, 1)] = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__(prob, fill, Space(levels=10))

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws a pair of the policy, and which of its operations are done, in which direction."""
        if rng.random() >= self.prob:
            return None
        pairs = []
        for name, prob, level in POLICY[rng.integers(len(POLICY))]:
            if rng.random() < prob:
                pairs.append((NAMES.index(name), signed(rng, name, level)))
        return self.padded(pairs)
