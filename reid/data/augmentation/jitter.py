"""Light, contrast and colour that vary."""

from typing import Annotated

import numpy as np

from reid.data.augmentation.arrays import ONE, Pixels, as_int32, as_uint8, blend, luma
from reid.data.augmentation.base import Augmentation, Row
from reid.data.augmentation.fast import compiled_loops
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.data.images import UInt8Image
from reid.utils.checks import Probability, Range, check_probability, check_range


@AUGMENTATIONS.register("jitter")
class Jitter(Augmentation):
    """Scales brightness, then contrast about the mean gray, then saturation about each gray.

    The result is within 1/255 of torchvision's ``adjust_brightness``, ``adjust_contrast`` and
    ``adjust_saturation`` with the same factors.
    Differs: torchvision's ColorJitter shuffles the order of the three; here it is fixed.

    Args:
        prob: Probability that an image is changed; 0 is off.
        jitter: Half-ranges of brightness, contrast and saturation, each in [0, 1]; each factor is
            uniform in 1 +- its half-range.

    Raises:
        ArgumentError: The probability or a half-range is outside [0, 1].
    """

    width = 3
    neutral = (ONE, ONE, ONE)
    draw_order = 3

    def __init__(
        self,
        prob: Probability = 0.0,
        jitter: Annotated[tuple[float, float, float], Range(0, 1)] = (0.15, 0.15, 0.1),
    ) -> None:
        check_probability("prob", prob)
        for most in jitter:
            check_range("jitter", most, 0, 1)
        self.prob = prob
        self.jitter = jitter

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws three factors in 1/65536."""
        if not self.prob or rng.random() >= self.prob:
            return None
        return tuple(round(rng.uniform(1 - most, 1 + most) * ONE) for most in self.jitter)

    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Scales the colours of (B, H, W, 3) images."""
        brightness, contrast, saturation = (rows[:, i, None, None, None] for i in range(3))
        pixels = blend(as_int32(images), 0, brightness)
        count = images.shape[1] * images.shape[2]
        mean = (2 * luma(pixels).sum((1, 2)) + count) // (2 * count)
        pixels = blend(pixels, as_int32(mean)[:, None, None, None], contrast)
        return as_uint8(blend(pixels, luma(pixels)[..., None], saturation))

    def on_cpu(self, image: UInt8Image, row: Row, out: UInt8Image) -> None:
        """Scales the colours of one (H, W, 3) image, by compiled loops if numba is installed."""
        loops = compiled_loops()
        if loops is None:
            super().on_cpu(image, row, out)
        else:
            loops.jitter(out, *row)
