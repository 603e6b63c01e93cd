"""What augmentations compute with: operators that are the same for numpy arrays and for tensors."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Pixels = TypeVar("Pixels", np.ndarray, Tensor)
ONE = 1 << 16  # a factor of 1: factors are whole numbers of 1/65536


def arange(count: int, like: Pixels) -> Pixels:
    """Returns (count,) int64: 0, 1, 2, ...

    Args:
        count: Number of elements.
        like: An array of any shape, of the kind and on the device that is wanted.
    """
    if isinstance(like, Tensor):
        return torch.arange(count, device=like.device)
    return np.arange(count)


def where(condition: Pixels, one: Pixels, other: Pixels) -> Pixels:
    """Returns elements of ``one`` where the condition holds, and of ``other`` elsewhere.

    Args:
        condition: Bool of any shape; the three shapes broadcast.
        one: Values of any type.
        other: Values of the same type.
    """
    if isinstance(condition, Tensor):
        return torch.where(condition, one, other)
    return np.where(condition, one, other)


def as_int32(pixels: Pixels) -> Pixels:
    """Returns the same numbers as int32, of any shape."""
    return pixels.int() if isinstance(pixels, Tensor) else pixels.astype(np.int32)


def as_uint8(pixels: Pixels) -> Pixels:
    """Returns the same numbers, 0 to 255 and of any shape, as uint8."""
    return pixels.to(torch.uint8) if isinstance(pixels, Tensor) else pixels.astype(np.uint8)


def constant(values: np.ndarray, like: Pixels) -> Pixels:
    """Returns ``values`` as the kind, and on the device, of another array.

    Args:
        values: Array whose shape and type stay.
        like: The other array, of any shape.
    """
    return torch.from_numpy(values).to(like.device) if isinstance(like, Tensor) else values


def inside(boxes: Pixels, images: Pixels) -> Pixels:
    """Returns which pixels lie in each image's rectangle, (B, H, W, 1) bool.

    Args:
        boxes: (B, 4) whole numbers: top, left, height, width.
        images: (B, H, W, 3).
    """
    top, left, height, width = (boxes[:, i, None] for i in range(4))
    rows, columns = arange(images.shape[1], images), arange(images.shape[2], images)
    in_rows = (rows >= top) & (rows < top + height)
    in_columns = (columns >= left) & (columns < left + width)
    return (in_rows[:, :, None] & in_columns[:, None, :])[..., None]


def luma(pixels: Pixels) -> Pixels:
    """Maps (..., 3) int32 RGB to (...): ITU-R 601-2, rounded as PIL's conversion to "L" rounds."""
    r, g, b = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b + ONE // 2) >> 16


LUMA = (19595, 38470, 7471)  # in 1/65536
LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # the same as fractions, for pixels that are no whole numbers


def blend(pixels: Pixels, other: Pixels | int, factor: Pixels) -> Pixels:
    """Returns factor * pixels + (1 - factor) * other, cut to 0..255.

    Args:
        pixels: (B, H, W, 3) or another shape, int32 in 0..255; the three shapes broadcast.
        other: Values of the same kind, or one number, int32 in 0..255.
        factor: Weights of ``pixels``, int32 in 1/65536.
    """
    return ((factor * pixels + (ONE - factor) * other) >> 16).clip(0, 255)
