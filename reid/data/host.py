"""Augmentation of a batch on the CPU: each image goes from its store to the batch in one copy."""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TypeAlias

import numpy as np
import torch

from reid.data.augment import NEUTRAL, NO_BOX, Augmentation
from reid.data.pixels import UInt8Image, cut, recolor

Recolor: TypeAlias = Callable[[UInt8Image, Augmentation], None]


@cache
def fast_recolor() -> Recolor:
    """Returns the compiled colour steps, or the plain ones where numba is missing."""
    try:
        found: Recolor = import_module("reid.data.compiled").recolor
    except ImportError:
        return recolor
    return found


ALONE = 1 << 15  # elements, torch's own grain: it shares out only what is more


def mirror(image: UInt8Image) -> UInt8Image:
    """Flips left and right; torch's loop takes a fraction of the time of numpy's.

    In pieces that are too small for torch to share among threads: those that it would start for
    this thread spin for a while when they are done, beside those of the training step.
    """
    rows = max(1, ALONE // image[0].size)
    parts = [image[i : i + rows] for i in range(0, len(image), rows)]
    return np.concatenate([torch.from_numpy(part).flip(1).numpy() for part in parts])


def put_window(out: UInt8Image, image: UInt8Image, down: int, right: int) -> None:
    """Writes the window that begins (down, right) of the image's corner; black beyond its edge."""
    height, width = image.shape[:2]
    top, bottom = max(0, -down), max(0, height - max(0, down))
    begin, end = max(0, -right), max(0, width - max(0, right))
    if top >= bottom or begin >= end:
        out[...] = 0
        return
    out[:top] = 0
    out[bottom:] = 0
    out[top:bottom, :begin] = 0
    out[top:bottom, end:] = 0
    out[top:bottom, begin:end] = image[top + down : bottom + down, begin + right : end + right]


def fill_batch(
    out: np.ndarray,
    images: Sequence[UInt8Image],
    todo: Sequence[Augmentation],
    padding: int,
    filled: UInt8Image,
) -> None:
    """Does what :func:`reid.data.pixels.apply` says, to the bit, straight into a batch.

    Args:
        out: (B, H, W, 3) uint8, contiguous; overwritten.
        images: B images, not changed.
        todo: What to do to each.
        padding: Pixels of black on each side before the crop.
        filled: (H, W, 3) of the colour of the erased rectangle.
    """
    for target, image, step in zip(out, images, todo, strict=True):
        source = mirror(image) if step.flip else image
        put_window(target, source, step.top - padding, step.left - padding)
        if (step.factors, step.patch) != (NEUTRAL, NO_BOX):
            fast_recolor()(target, step)
        if step.erase != NO_BOX:
            cut(target, step.erase)[...] = cut(filled, step.erase)
