"""TrivialAugment: one operation at random, of random strength."""

from typing import Annotated

import numpy as np

from reid.data.augmentation.base import Row
from reid.data.augmentation.operations import COMMON, NAMES, PolicyAugmentation, Space, signed
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.utils.checks import Probability, Range


@AUGMENTATIONS.register("trivialaugment")
class TrivialAugment(PolicyAugmentation):
    """Does one of 14 operations (one of them: nothing) at one of 31 strengths, up to very strong.

    It works on the host, see :attr:`Augmentation.on_host_only`. The pixels are those of
    torchvision's TrivialAugmentWide, on PIL images.

    Source: Mueller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data
    Augmentation", arXiv:2103.10158, the wide space of its table 1.

    Args:
        prob: Probability that an image is changed.
        fill: Colour of pixels from outside the image, RGB in [0, 1].

    Raises:
        ArgumentError: The probability or the colour is outside [0, 1].
    """

    pairs = 1

    def __init__(
        self,
        prob: Probability = 0.5,
        fill: Annotated[tuple[float, float, float], Range(0, 1)] = (0.0, 0.0, 0.0),
    ) -> None:
        wide = Space(levels=31, shear=0.99, translate=32.0, degrees=135.0, factor=0.99, bits=6)
        super().__init__(prob, fill, wide)

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws the operation, its strength, and its direction."""
        if rng.random() >= self.prob:
            return None
        name = COMMON[rng.integers(len(COMMON))]
        level = int(rng.integers(self.space.levels))
        return self.padded([(NAMES.index(name), signed(rng, name, level))])
