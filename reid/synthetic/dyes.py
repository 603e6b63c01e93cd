"""Colours that clothes come in: a few popular ones, or nearly any."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from reid.synthetic.raster import Floats

Rng = np.random.Generator
Dye = Callable[[Rng], Floats]  # draws (3,) RGB in [0, 1]

# So that colour alone is to find people at market-scale as well as hand-made descriptors do on
# real sets (mAP 10 to 15).
POPULAR = 0.85

PALETTE: dict[str, tuple[float, float, float]] = {
    "black": (0.09, 0.09, 0.10),
    "charcoal": (0.21, 0.21, 0.23),
    "gray": (0.48, 0.48, 0.49),
    "white": (0.88, 0.88, 0.87),
    "navy": (0.12, 0.15, 0.29),
    "blue": (0.20, 0.34, 0.62),
    "jeans": (0.27, 0.35, 0.47),
    "sky": (0.55, 0.68, 0.82),
    "red": (0.68, 0.13, 0.14),
    "pink": (0.86, 0.55, 0.62),
    "green": (0.16, 0.38, 0.24),
    "khaki": (0.49, 0.45, 0.30),
    "beige": (0.74, 0.66, 0.53),
    "brown": (0.34, 0.23, 0.16),
    "yellow": (0.86, 0.72, 0.24),
    "purple": (0.38, 0.24, 0.46),
}
# Popularity is skewed as in a street: many people have the same two colours and differ in the cut.
_UPPER = {
    "black": 22, "gray": 12, "white": 16, "navy": 11, "charcoal": 8, "blue": 8, "red": 6, "sky": 4,
    "green": 3, "khaki": 3, "beige": 3, "pink": 2, "yellow": 1, "purple": 1,
}  # fmt: skip
_LOWER = {
    "black": 30, "jeans": 24, "navy": 13, "charcoal": 12, "gray": 7, "khaki": 5, "beige": 5,
    "white": 2, "brown": 2,
}  # fmt: skip
_SHOES = {"black": 34, "white": 26, "gray": 10, "brown": 12, "red": 6, "blue": 6, "beige": 6}
_BAG = {"black": 34, "navy": 12, "gray": 12, "brown": 12, "red": 10, "blue": 8, "khaki": 6,
        "pink": 3, "yellow": 3}  # fmt: skip


class Dyes(NamedTuple):
    """Where the colours of clothes are drawn from.

    Attributes:
        upper: Of torso and hat.
        lower: Of the legs.
        shoes: Of the shoes.
        bag: Of the bag.
    """

    upper: Dye
    lower: Dye
    shoes: Dye
    bag: Dye


def pick(rng: Rng, weights: dict[str, int]) -> str:
    """Draws a key by weight.

    Args:
        rng: Generator of the numbers.
        weights: Weight of each key.
    """
    frequencies = np.array(list(weights.values()), float)
    return list(weights)[rng.choice(len(weights), p=frequencies / frequencies.sum())]


def tinted(rng: Rng, rgb: tuple[float, float, float]) -> Floats:
    """Varies a colour a little, as no two dyes are the same; returns (3,).

    Args:
        rng: Generator of the numbers.
        rgb: The colour, in [0, 1].
    """
    varied = np.array(rgb) * rng.uniform(0.88, 1.12) + rng.normal(0, 0.012, 3)
    return np.asarray(np.clip(varied, 0.02, 0.97), np.float32)


def _popular(rng: Rng, weights: dict[str, int]) -> Floats:
    return tinted(rng, PALETTE[pick(rng, weights)])


def _any(rng: Rng, weights: dict[str, int]) -> Floats:
    """Draws a popular colour, or at times one of any hue and lightness; returns (3,)."""
    if rng.random() < POPULAR:
        return _popular(rng, weights)
    value = rng.uniform(0.15, 0.92)
    saturation = rng.uniform(0.2, 0.9)
    hue = rng.uniform(0, 6)
    away = np.abs((hue - np.array((0.0, 2.0, 4.0)) + 3) % 6 - 3)  # from red, green and blue
    color = value * (1 - saturation * np.clip(away - 1, 0, 1))
    return np.asarray(np.clip(color, 0.02, 0.97), np.float32)


FEW = Dyes(
    partial(_popular, weights=_UPPER),
    partial(_popular, weights=_LOWER),
    partial(_popular, weights=_SHOES),
    partial(_popular, weights=_BAG),
)
MANY = Dyes(
    partial(_any, weights=_UPPER),
    partial(_any, weights=_LOWER),
    partial(_any, weights=_SHOES),
    partial(_any, weights=_BAG),
)
