"""Colour steps that numba compiles: the whole numbers of :mod:`reid.data.pixels`, in two passes."""

import numpy as np

from reid.data.augment import NEUTRAL, NO_BOX, Augmentation
from reid.utils.compiling import compiled

# The weights of reid.data.pixels.luma; a test holds the two together.
_WEIGHTS = np.array((19595, 38470, 7471), np.int32)


def recolor(image: np.ndarray, todo: Augmentation) -> None:
    """Does what :func:`reid.data.pixels.recolor` does, to the bit, to a contiguous image."""
    if todo.factors != NEUTRAL:
        _jitter(image, *todo.factors)
    if todo.patch != NO_BOX:
        _gray(image, *todo.patch)


@compiled
def _jitter(image: np.ndarray, brightness: int, contrast: int, saturation: int) -> None:
    """Jitters in place: brightness and contrast by a table, saturation from rows of sums."""
    height, width = image.shape[:2]
    table, share, gray = np.empty(256, np.int32), np.empty(256, np.int32), _weighted()
    for v in range(256):
        table[v] = min((brightness * v) >> 16, 255)
    gray *= table
    total, count = 0, height * width
    for y in range(height):
        row = image[y]
        for x in range(width):
            total += (gray[0, row[x, 0]] + gray[1, row[x, 1]] + gray[2, row[x, 2]] + 32768) >> 16
    mean = (2 * total + count) // (2 * count)
    for v in range(256):
        table[v] = min(max((contrast * table[v] + (65536 - contrast) * mean) >> 16, 0), 255)
        share[v] = saturation * table[v]
    _saturate(image, share, _weighted() * table, np.int32(65536 - saturation))


@compiled
def _weighted() -> np.ndarray:
    """Returns a (3, 256) int32 table of the weights, to be multiplied by a table of colours."""
    weights = np.empty((3, 256), np.int32)
    for channel in range(3):
        weights[channel] = _WEIGHTS[channel]
    return weights


@compiled
def _saturate(image: np.ndarray, share: np.ndarray, gray: np.ndarray, rest: int) -> None:
    """Adds each pixel's gray to its colours; the sums first, so that the cut fills registers."""
    height, width = image.shape[:2]
    red, green, blue = gray[0], gray[1], gray[2]
    sums = np.empty(3 * width, np.int32)
    flat = image.reshape(height, 3 * width)
    for y in range(height):
        row = image[y]
        for x in range(width):
            r, g, b = row[x, 0], row[x, 1], row[x, 2]
            own = rest * ((red[r] + green[g] + blue[b] + 32768) >> 16)
            sums[3 * x] = share[r] + own
            sums[3 * x + 1] = share[g] + own
            sums[3 * x + 2] = share[b] + own
        out = flat[y]
        for k in range(3 * width):
            out[k] = np.uint8(min(max(sums[k] >> np.int32(16), np.int32(0)), np.int32(255)))


@compiled
def _gray(image: np.ndarray, top: int, left: int, height: int, width: int) -> None:
    """Grays a rectangle in place."""
    box = image[top : top + height, left : left + width]
    for y in range(height):
        row = box[y]
        for x in range(width):
            r, g, b = np.int32(row[x, 0]), np.int32(row[x, 1]), np.int32(row[x, 2])
            own = np.uint8((19595 * r + 38470 * g + 7471 * b + 32768) >> 16)
            row[x, 0] = own
            row[x, 1] = own
            row[x, 2] = own
