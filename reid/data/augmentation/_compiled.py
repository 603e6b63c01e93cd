"""Colour steps that numba compiles: the whole numbers of ``jitter`` and ``grayscale_patch``.

They make two passes over an image, and change it in place.
"""

import numpy as np

from reid.data.augmentation.arrays import LUMA
from reid.utils.compiling import compiled

_RED, _GREEN, _BLUE = LUMA
_WEIGHTS = np.array(LUMA, np.int32)


@compiled
def jitter(image: np.ndarray, brightness: int, contrast: int, saturation: int) -> None:
    """Scales colours in place: brightness and contrast by a table, saturation from rows of sums.

    Args:
        image: (H, W, 3) uint8, contiguous.
        brightness: Factor in 1/65536.
        contrast: Factor in 1/65536.
        saturation: Factor in 1/65536.
    """
    height, width = image.shape[:2]
    table = np.empty(256, np.int32)
    scaled = np.empty(256, np.int32)
    gray = _weighted()
    for v in range(256):
        table[v] = min((brightness * v) >> 16, 255)
    gray *= table
    total = 0
    count = height * width
    for y in range(height):
        row = image[y]
        for x in range(width):
            total += (gray[0, row[x, 0]] + gray[1, row[x, 1]] + gray[2, row[x, 2]] + 32768) >> 16
    mean = (2 * total + count) // (2 * count)
    for v in range(256):
        table[v] = min(max((contrast * table[v] + (65536 - contrast) * mean) >> 16, 0), 255)
        scaled[v] = saturation * table[v]
    _saturate(image, scaled, _weighted() * table, np.int32(65536 - saturation))


@compiled
def _weighted() -> np.ndarray:
    """Returns a (3, 256) int32 table of the weights, to be multiplied by a table of colours."""
    weights = np.empty((3, 256), np.int32)
    for channel in range(3):
        weights[channel] = _WEIGHTS[channel]
    return weights


@compiled
def _saturate(image: np.ndarray, scaled: np.ndarray, gray: np.ndarray, gray_weight: int) -> None:
    """Adds each pixel's gray to its colours.

    The sums are stored first, so that the compiler vectorizes the loop that clips them.
    """
    height, width = image.shape[:2]
    red, green, blue = gray[0], gray[1], gray[2]
    sums = np.empty(3 * width, np.int32)
    flat = image.reshape(height, 3 * width)
    for y in range(height):
        row = image[y]
        for x in range(width):
            r, g, b = row[x, 0], row[x, 1], row[x, 2]
            gray_term = gray_weight * ((red[r] + green[g] + blue[b] + 32768) >> 16)
            sums[3 * x] = scaled[r] + gray_term
            sums[3 * x + 1] = scaled[g] + gray_term
            sums[3 * x + 2] = scaled[b] + gray_term
        out = flat[y]
        for k in range(3 * width):
            out[k] = np.uint8(min(max(sums[k] >> np.int32(16), np.int32(0)), np.int32(255)))


@compiled
def gray(patch: np.ndarray) -> None:
    """Takes the colour out of (h, w, 3) uint8 pixels, in place."""
    for y in range(patch.shape[0]):
        row = patch[y]
        for x in range(patch.shape[1]):
            r, g, b = np.int32(row[x, 0]), np.int32(row[x, 1]), np.int32(row[x, 2])
            luma = np.uint8((_RED * r + _GREEN * g + _BLUE * b + 32768) >> 16)
            row[x, 0] = luma
            row[x, 1] = luma
            row[x, 2] = luma
