"""Colour and geometry operations of torchvision, chosen by a policy, for one image on the host.

The draw is ours, in whole numbers; the pixels are those of torchvision's public functions on PIL
images. Their arithmetic is in C code of PIL: it draws nothing, and starts no threads of torch.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reid.data.augmentation.arrays import Pixels
from reid.data.augmentation.base import Augmentation, Row
from reid.data.images import UInt8Image
from reid.utils.checks import check_probability, check_range

Fill: TypeAlias = list[int]
_Operation: TypeAlias = Callable[[ModuleType, Image.Image, float, Fill], Any]


@cache
def _torchvision() -> ModuleType:
    from torchvision.transforms.v2 import functional  # here: it takes as long to load as torch

    return functional


def _shear(tv: ModuleType, image: Image.Image, slopes: tuple[float, float], fill: Fill) -> Any:
    degrees = [math.degrees(math.atan(slope)) for slope in slopes]
    return tv.affine(image, 0.0, [0, 0], 1.0, degrees, fill=fill, center=[0, 0])


def _translate(tv: ModuleType, image: Image.Image, by: tuple[float, float], fill: Fill) -> Any:
    return tv.affine(image, 0.0, [int(pixels) for pixels in by], 1.0, [0.0, 0.0], fill=fill)


# What each does with (torchvision, image, magnitude, colour of pixels from outside). A row has the
# place in this table, so that new ones go to the end.
OPERATIONS: dict[str, _Operation] = {
    "identity": lambda tv, image, m, fill: image,
    "shear_x": lambda tv, image, m, fill: _shear(tv, image, (m, 0.0), fill),
    "shear_y": lambda tv, image, m, fill: _shear(tv, image, (0.0, m), fill),
    "translate_x": lambda tv, image, m, fill: _translate(tv, image, (m, 0), fill),
    "translate_y": lambda tv, image, m, fill: _translate(tv, image, (0, m), fill),
    "rotate": lambda tv, image, m, fill: tv.rotate(image, m, fill=fill),
    "brightness": lambda tv, image, m, fill: tv.adjust_brightness(image, 1 + m),
    "color": lambda tv, image, m, fill: tv.adjust_saturation(image, 1 + m),
    "contrast": lambda tv, image, m, fill: tv.adjust_contrast(image, 1 + m),
    "sharpness": lambda tv, image, m, fill: tv.adjust_sharpness(image, 1 + m),
    "posterize": lambda tv, image, m, fill: tv.posterize(image, int(m)),
    "solarize": lambda tv, image, m, fill: tv.solarize(image, 255 * m),
    "auto_contrast": lambda tv, image, m, fill: tv.autocontrast(image),
    "equalize": lambda tv, image, m, fill: tv.equalize(image),
    "invert": lambda tv, image, m, fill: tv.invert(image),
}
NAMES = tuple(OPERATIONS)
SIGNED = frozenset(NAMES[1:10])  # those whose magnitude is negated in half of the draws
COMMON = NAMES[:-1]  # what RandAugment and TrivialAugment choose from


class Space(NamedTuple):
    """Magnitudes at the last of ``levels`` equally spaced levels; level 0 changes nothing.

    Attributes:
        levels: Number of levels.
        shear: Slope.
        translate: Pixels, or a share of the side if it is less than 1.
        degrees: Of a rotation.
        factor: Largest distance of a factor (of brightness, ...) from 1.
        bits: Number of bits that posterizing removes.
    """

    levels: int
    shear: float = 0.3
    translate: float = 150 / 331
    degrees: float = 30.0
    factor: float = 0.9
    bits: int = 4

    def magnitude(self, name: str, level: int, size: tuple[int, int]) -> float:
        """Returns the magnitude of an operation, in torchvision's units and its float32 numbers.

        Args:
            name: Of the operation.
            level: From 0 to ``levels`` - 1; below 0 for a negative magnitude.
            size: (height, width) of the image in pixels.
        """
        at, sign = abs(level), math.copysign(1, level)
        if name == "posterize":
            return float((8 - (torch.tensor(at) / ((self.levels - 1) / self.bits))).round())
        if name == "solarize":
            return float(torch.linspace(1.0, 0.0, self.levels)[at])
        scale = self.translate if self.translate >= 1 else None
        most: Mapping[str, float] = {
            "shear_x": self.shear,
            "shear_y": self.shear,
            "translate_x": scale or self.translate * size[1],
            "translate_y": scale or self.translate * size[0],
            "rotate": self.degrees,
        }
        last = most.get(name, self.factor)
        return sign * float(torch.linspace(0.0, last, self.levels)[at])


class PolicyAugmentation(Augmentation):
    """Does a few operations, one after the other; a row is a pair for each: operation and level.

    An operation is its place in ``NAMES``; (0, 0) does nothing. Pixels from outside the image have
    the colour ``fill``, and pixels are not interpolated, as torchvision's defaults say.

    Args:
        prob: Probability that an image is changed.
        fill: The colour, RGB in [0, 1].
        space: Magnitudes of the levels.

    Raises:
        ArgumentError: The probability or the colour is outside [0, 1].
    """

    on_host_only = True
    pairs: ClassVar[int]  # number of operations in a row

    def __init_subclass__(cls) -> None:
        cls.width = 2 * cls.pairs

    def __init__(self, prob: float, fill: tuple[float, float, float], space: Space) -> None:
        check_probability("prob", prob)
        for value in fill:
            check_range("fill", value, 0, 1)
        self.prob = prob
        self.fill = np.round(np.asarray(fill) * 255).astype(int).tolist()
        self.space = space
        self.neutral = (0,) * self.width

    def padded(self, pairs: list[tuple[int, int]]) -> Row | None:
        """Returns the row of some pairs; None if none of them does anything."""
        if not any(operation for operation, _ in pairs):
            return None
        numbers = [number for pair in pairs for number in pair]
        return tuple(numbers + [0] * (self.width - len(numbers)))

    def apply(self, images: Pixels, rows: Pixels) -> Pixels:
        """Does the operations to images, (B, H, W, 3), on the host, one after the other."""
        pixels = images.numpy() if isinstance(images, Tensor) else images
        done = [
            self._done(image, row) if any(row) else image
            for image, row in zip(pixels, rows.tolist(), strict=True)
        ]
        out = np.stack(done) if done else pixels.copy()
        return torch.from_numpy(out) if isinstance(images, Tensor) else out

    def on_cpu(self, image: UInt8Image, row: Row, out: UInt8Image) -> None:
        """Does the operations to one (H, W, 3) image."""
        out[...] = self._done(image, row)

    def _done(self, image: UInt8Image, row: Row) -> UInt8Image:
        height, width = image.shape[:2]
        picture = Image.fromarray(image)
        for operation, level in zip(row[::2], row[1::2], strict=True):
            name = NAMES[operation]
            magnitude = self.space.magnitude(name, level, (height, width))
            picture = OPERATIONS[name](_torchvision(), picture, magnitude, self.fill)
        return np.asarray(picture)


def signed(rng: np.random.Generator, name: str, level: int) -> int:
    """Returns the level, negated in half of the draws if the operation has two directions.

    Args:
        rng: Generator of the image.
        name: Of the operation.
        level: The level.
    """
    return -level if name in SIGNED and rng.random() < 0.5 else level
