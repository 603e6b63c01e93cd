"""Gaussian noise on the pixels."""

import math
from statistics import NormalDist
from typing import Annotated

import numpy as np

from reid.data.augmentation.arrays import Pixels, arange, as_int32, as_uint8, constant, where
from reid.data.augmentation.base import Augmentation, Row
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.utils.checks import Probability, Range, check_probability, check_range

BITS = 16  # of the random number that decides the noise of one colour value
MOST_SD = 255


@AUGMENTATIONS.register("noise")
class PixelNoise(Augmentation):
    """Adds Gaussian noise to each colour of each pixel, rounded to levels and cut to 0..255.

    The noise of a colour value is a quantile of the normal distribution, looked up by 16 bits that
    a hash makes of the image's key and the place in the image. So host and device need no generator
    of their own, and get the same bits. The largest noise is 4.3 standard deviations.

    Source: the pixel noise that LFM is compared with in this project; the hash is the 32-bit mixer
    of T. Mueller, whose steps are a shift, an exclusive or and a product.

    Args:
        prob: Probability that an image is changed.
        sd: Standard deviation in levels of 255.

    Raises:
        ArgumentError: The probability is outside [0, 1], or the deviation outside [0, 255].
    """

    width = 2
    neutral = (0, 0)
    draw_order = 5

    def __init__(
        self, prob: Probability = 0.15, sd: Annotated[float, Range(0, MOST_SD)] = 8.0
    ) -> None:
        check_probability("prob", prob)
        check_range("sd", sd, 0, MOST_SD)
        self.prob = prob
        self.levels = _normal_levels(sd)

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Draws two keys from 1 to 2^31 - 1."""
        if rng.random() >= self.prob:
            return None
        return tuple(rng.integers(1, 1 << 31, size=2).tolist())

    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Adds noise to the images, (B, H, W, 3), whose keys are not 0."""
        first, second = rows[:, 0, None], rows[:, 1, None]
        place = arange(math.prod(images.shape[1:]), images)[None]
        bits = _mixed(_mixed(place ^ first) ^ second) & ((1 << BITS) - 1)
        noise = constant(self.levels, images)[bits].reshape(images.shape)
        noisy = as_uint8((as_int32(images) + noise).clip(0, 255))
        return where(first[:, :, None, None] > 0, noisy, images)


def _mixed(numbers: Pixels) -> Pixels:
    """Hashes whole numbers of 32 bits, one to one; no product leaves the 63 bits of int64.

    Args:
        numbers: int64 in 0..2^32 - 1, of any shape.
    """
    for _ in range(2):
        numbers = ((numbers ^ (numbers >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return numbers ^ (numbers >> 16)


def _normal_levels(sd: float) -> np.ndarray:
    """Returns the quantiles of N(0, sd^2) at (k + 1/2) / 2^16, rounded, as (2^16,) int32."""
    quantile = NormalDist().inv_cdf
    half = [quantile((k + 0.5) / (1 << BITS)) for k in range(1 << (BITS - 1))]
    lower = np.round(np.array(half) * sd).astype(np.int32)
    return np.concatenate([lower, -lower[::-1]])
