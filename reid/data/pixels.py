"""What augmentation does to one image, step after step: the reference of what batches do.

Colours are computed in whole numbers, so that numpy, torch and CUDA agree to the bit. The formulas
that numpy arrays and tensors share are written once; both have the operators.
"""

from typing import TypeVar

import numpy as np
from torch import Tensor

from reid.data.augment import NEUTRAL, NO_BOX, ONE, Augmentation, Box

UInt8Image = np.ndarray  # (H, W, 3) uint8
Pixels = TypeVar("Pixels", np.ndarray, Tensor)  # (..., 3) int32 in 0..255


def luma(pixels: Pixels) -> Pixels:
    """Maps (..., 3) int32 to (...): ITU-R 601-2, rounded as PIL's conversion to "L" rounds."""
    r, g, b = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16


def blend(pixels: Pixels, other: Pixels | int, factor: Pixels | int) -> Pixels:
    """Returns factor * pixels + (1 - factor) * other, cut down to 0..255; factor in 1/65536."""
    return ((factor * pixels + (ONE - factor) * other) >> 16).clip(0, 255)


def jitter(pixels: Pixels, brightness: Pixels, contrast: Pixels, saturation: Pixels) -> Pixels:
    """Scales brightness, then contrast about the mean gray, then saturation about each gray.

    Within 1/255 of torchvision's ``adjust_brightness``, ``adjust_contrast`` and
    ``adjust_saturation`` with the same factors.

    Args:
        pixels: (..., H, W, 3) int32.
        brightness: int32 factor in 1/65536 that broadcasts with ``pixels``.
        contrast: The same.
        saturation: The same.
    """
    pixels = blend(pixels, 0, brightness)
    count = pixels.shape[-3] * pixels.shape[-2]
    mean = (2 * luma(pixels).sum((-2, -1)) + count) // (2 * count)
    pixels = blend(pixels, mean[..., None, None, None], contrast)
    return blend(pixels, luma(pixels)[..., None], saturation)


def pad_and_crop(image: UInt8Image, padding: int, top: int, left: int) -> UInt8Image:
    """Pads with black on all sides and cuts a window of the old size at (top, left)."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return padded[top : top + height, left : left + width]


def apply(image: UInt8Image, todo: Augmentation, padding: int, fill: np.ndarray) -> UInt8Image:
    """Augments one image, one step after the other; the reference of what batches do.

    Args:
        image: Not changed.
        todo: What to do.
        padding: Pixels of black on each side before the crop.
        fill: (3,) uint8 of the erased rectangle.
    """
    image = image[:, ::-1] if todo.flip else image
    image = pad_and_crop(image, padding, todo.top, todo.left) if padding else image
    if (todo.factors, todo.patch, todo.erase) == (NEUTRAL, NO_BOX, NO_BOX):
        return image
    image = image.copy()
    recolor(image, todo)
    cut(image, todo.erase)[...] = fill
    return image


def recolor(image: UInt8Image, todo: Augmentation) -> None:
    """Jitters an image's colours and grays its patch, in place."""
    if todo.factors != NEUTRAL:
        factors = (np.full((1, 1, 1), factor, np.int32) for factor in todo.factors)
        image[...] = jitter(image.astype(np.int32), *factors)
    if todo.patch != NO_BOX:
        patch = cut(image, todo.patch)
        patch[...] = luma(patch.astype(np.int32))[..., None]


def cut(image: UInt8Image, box: Box) -> UInt8Image:
    """Returns a view of a rectangle."""
    top, left, height, width = box
    return image[top : top + height, left : left + width]
