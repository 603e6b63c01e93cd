"""What augmentation draws: one image's parameters, from that image's own generator.

Drawing is apart from applying (:mod:`reid.data.pixels`), so that one image at a time, a batch on
the CPU and a batch on the GPU are given the same parameters and make the same pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reid.utils.errors import InputError

Box = tuple[int, int, int, int]  # top, left, height, width
NO_BOX: Box = (0, 0, 0, 0)
ONE = 1 << 16  # a jitter factor of 1: whole numbers give the same pixels on every device
NEUTRAL = (ONE, ONE, ONE)


class Augmentation(NamedTuple):
    """What is done to one image: flip, crop, jitter, patch, erase, in this order.

    Attributes:
        flip: Mirror left and right.
        top: Row at which the window begins in the padded image.
        left: Its column.
        erase: Rectangle that is overwritten, in the window.
        factors: Brightness, contrast and saturation in 1/65536.
        patch: Rectangle that turns gray, in the window.
    """

    flip: bool
    top: int
    left: int
    erase: Box = NO_BOX
    factors: tuple[int, int, int] = NEUTRAL
    patch: Box = NO_BOX


class Jitter(NamedTuple):
    """Colour jitter: each factor ~ U(1 - most, 1 + most); brightness, contrast, saturation.

    Differs: torchvision's ColorJitter shuffles the order of the three; here it is fixed.
    """

    prob: float = 0.0
    most: Sequence[float] = (0.15, 0.15, 0.1)


class GrayscalePatch(NamedTuple):
    """Local grayscale patch replacement: one rectangle of the image loses its colour.

    Source: Gong et al., "Eliminate deviation with deviation for data augmentation and a general
    multi-modal data learning method", arXiv:2101.08533. Sizes are drawn as in random erasing.
    """

    prob: float = 0.0
    area: tuple[float, float] = (0.02, 0.4)
    aspect: tuple[float, float] = (0.3, 1 / 0.3)


NO_JITTER, NO_PATCH = Jitter(), GrayscalePatch()


def draw_rectangle(
    rng: np.random.Generator,
    size: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> Box | None:
    """Draws (top, left, height, width) of a rectangle inside ``size``, or None after 100 misfits.

    Share of the area ~ U(area), height / width ~ U(aspect): the ratio itself is uniform.
    Source: Zhong et al., "Random Erasing Data Augmentation", arXiv:1708.04896, algorithm 1.
    """
    rows, columns = size
    for _ in range(100):
        target = rng.uniform(*area) * rows * columns
        ratio = rng.uniform(*aspect)
        height, width = round((target * ratio) ** 0.5), round((target / ratio) ** 0.5)
        if height < rows and width < columns:
            top = int(rng.integers(rows - height + 1))
            left = int(rng.integers(columns - width + 1))
            return top, left, height, width
    return None


def draw_factors(rng: np.random.Generator, most: Sequence[float]) -> tuple[int, int, int]:
    """Draws the factors of :class:`Jitter` in 1/65536."""
    brightness, contrast, saturation = (round(rng.uniform(1 - m, 1 + m) * ONE) for m in most)
    return brightness, contrast, saturation


def check_prob(name: str, prob: float) -> None:
    """Raises InputError unless ``prob`` is in [0, 1]."""
    if not 0 <= prob <= 1:
        raise InputError(f"{name} must be in [0, 1], got {prob}")


def check_rectangle(
    name: str, prob: float, area: tuple[float, float], aspect: tuple[float, float]
) -> None:
    """Raises InputError unless the settings of a random rectangle make sense."""
    check_prob(f"{name}_prob", prob)
    if not 0 < area[0] <= area[1] <= 1:
        raise InputError(f"{name}_area must be 0 < least <= most <= 1, got {area}")
    if not 0 < aspect[0] <= aspect[1]:
        raise InputError(f"{name}_aspect must be 0 < least <= most, got {aspect}")


def check_jitter(jitter: Jitter) -> None:
    """Raises InputError if a factor could be negative."""
    check_prob("jitter_prob", jitter.prob)
    if len(jitter.most) != 3 or not all(0 <= most <= 1 for most in jitter.most):
        raise InputError(f"jitter must be three values in [0, 1], got {jitter.most}")
