"""Augmentation in pixel space: PIL image in, uint8 tensor out, every draw from the generator given.

Normalization is the model's first layer, so that an attack's eps and an erased pixel mean the same
for every model.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from reid.data.augment import (
    NEUTRAL,
    NO_BOX,
    NO_JITTER,
    NO_PATCH,
    Augmentation,
    GrayscalePatch,
    Jitter,
    check_jitter,
    check_prob,
    check_rectangle,
    draw_factors,
    draw_rectangle,
)
from reid.data.pixels import UInt8Image, apply
from reid.utils.errors import InputError


def _to_tensor(image: UInt8Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Opens an image to be decoded in the block; raises InputError that names a broken one."""
    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error


def resize(image: Image.Image, size: tuple[int, int]) -> UInt8Image:
    """Resizes to (height, width), bilinear with antialiasing, as PIL does; RGB."""
    height, width = size
    image = image.convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


class TrainTransform:
    """Resize, flip, pad and crop, colour jitter, grayscale patch, random erasing, in this order.

    Args:
        size: (height, width) in pixels.
        flip_prob: Probability of a horizontal flip.
        padding: Pixels of black added on each side before the crop back to ``size``.
        erasing_prob: Probability that one rectangle is overwritten.
        erasing_area: Share of the image, (least, most).
        erasing_aspect: Height / width, (least, most).
        erasing_fill: RGB in [0, 1].
        jitter: Off unless its ``prob`` is set.
        patch: Off unless its ``prob`` is set.

    Raises:
        InputError: If a probability, area or fill is out of range.
    """

    def __init__(
        self,
        size: tuple[int, int],
        flip_prob: float = 0.5,
        padding: int = 10,
        erasing_prob: float = 0.5,
        erasing_area: tuple[float, float] = (0.02, 0.4),
        erasing_aspect: tuple[float, float] = (0.3, 1 / 0.3),
        erasing_fill: Sequence[float] = (0.485, 0.456, 0.406),
        jitter: Jitter = NO_JITTER,
        patch: GrayscalePatch = NO_PATCH,
    ) -> None:
        _check_size(size)
        check_prob("flip_prob", flip_prob)
        if padding < 0:
            raise InputError(f"padding must not be negative, got {padding}")
        check_rectangle("erasing", erasing_prob, erasing_area, erasing_aspect)
        if len(erasing_fill) != 3 or not all(0 <= value <= 1 for value in erasing_fill):
            raise InputError(f"erasing_fill must be three values in [0, 1], got {erasing_fill}")
        check_jitter(jitter)
        check_rectangle("grayscale_patch", *patch)
        self.size, self.flip_prob, self.padding = size, flip_prob, padding
        self.erasing_prob, self.area, self.aspect = erasing_prob, erasing_area, erasing_aspect
        self.fill = np.round(np.asarray(erasing_fill) * 255).astype(np.uint8)
        self.jitter, self.patch = jitter, patch

    def draw(self, rng: np.random.Generator) -> Augmentation:
        """Draws what is done to one image.

        The later augmentations draw last, so that turning one on leaves the others as they were.
        """
        flip, top, left, erase = rng.random() < self.flip_prob, 0, 0, NO_BOX
        if self.padding:
            top, left = rng.integers(2 * self.padding + 1, size=2).tolist()
        if rng.random() < self.erasing_prob:
            erase = draw_rectangle(rng, self.size, self.area, self.aspect) or NO_BOX
        factors, patch = NEUTRAL, NO_BOX
        if self.jitter.prob and rng.random() < self.jitter.prob:
            factors = draw_factors(rng, self.jitter.most)
        if self.patch.prob and rng.random() < self.patch.prob:
            patch = draw_rectangle(rng, self.size, self.patch.area, self.patch.aspect) or NO_BOX
        return Augmentation(flip, top, left, erase, factors, patch)

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        """Returns (3, H, W) uint8."""
        pixels = resize(image, self.size)
        return _to_tensor(apply(pixels, self.draw(rng), self.padding, self.fill))


class TestTransform:
    """Resize only.

    Args:
        size: (height, width) in pixels.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    def __init__(self, size: tuple[int, int]) -> None:
        _check_size(size)
        self.size = size

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        """Returns (3, H, W) uint8; draws nothing."""
        return _to_tensor(resize(image, self.size))


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"an image size is (height, width) in pixels, got {tuple(size)}")
