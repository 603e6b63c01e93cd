"""Image files to pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from reid.utils.errors import InputError

UInt8Image: TypeAlias = np.ndarray  # (H, W, 3) uint8, RGB


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Opens an image to be decoded in the block; raises InputError that names a broken one."""
    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error


def resize(image: Image.Image, size: tuple[int, int]) -> UInt8Image:
    """Resizes an image by PIL's bilinear filter with antialiasing.

    Args:
        image: An image of any mode; it becomes RGB.
        size: (height, width) in pixels.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = size
    image = image.convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def decode(path: Path, size: tuple[int, int]) -> UInt8Image:
    """Reads an image file.

    Args:
        path: The file.
        size: (height, width) in pixels to which the image is resized.

    Returns:
        (height, width, 3) uint8.

    Raises:
        InputError: The file is missing or broken; the message names it.
    """
    with opened(path) as image:
        return resize(image, size)
