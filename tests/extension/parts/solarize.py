"""A pixel augmentation: bright values are turned round."""

import numpy as np

from reid.data.augmentation import AUGMENTATIONS, Augmentation, Row
from reid.data.augmentation.arrays import Pixels, as_int32, as_uint8, where
from reid.utils.checks import check_probability


@AUGMENTATIONS.register("solarize")
class Solarize(Augmentation):
    """Inverts all values of at least a drawn threshold.

    Args:
        prob: Probability that an image is changed.
    """

    width, neutral = 1, (256,)

    def __init__(self, prob: float = 0.2) -> None:
        check_probability("prob", prob)
        self.prob = prob

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws the threshold."""
        return (int(rng.integers(128, 256)),) if rng.random() < self.prob else None

    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Inverts values of (B, H, W, 3) images."""
        wide = as_int32(images)
        return as_uint8(where(wide >= rows[:, :, None, None], 255 - wide, wide))
