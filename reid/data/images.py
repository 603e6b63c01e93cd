"""Image files to pixels: which files are read, and how each kind becomes 8-bit RGB.

docs/data.md states the rules for users.
"""

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from reid.utils.errors import InputError

UInt8Image: TypeAlias = np.ndarray  # (H, W, 3) uint8, RGB

# PIL knows some forty formats and goes by the content, not by the name. Some of its decoders start
# other programs (PostScript starts Ghostscript). So no other decoder than these is ever asked.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
MAX_PIXELS = 2**26  # 8192 x 8192; a small file can announce any number of pixels
# Raise it when a file may give other pixels than before: pixels kept on the disk are made anew.
RULES = 2

# We refuse at MAX_PIXELS, with the name of the file; PIL would print two lines without it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
# Keys of ``Image.info`` in which PIL looks for the orientation.
_ORIENTED = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
# What makes the stored picture upright, by the value of the EXIF tag; 1 is upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(InputError):
    """One image file cannot be read; the message begins with its path and a colon."""


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Opens an image to be decoded in the block.

    The block should do nothing else than decode: whatever is raised in it is taken for a fault of
    the file, since PIL raises a dozen kinds of exceptions on broken files.

    Args:
        path: The file; a link to a regular file is one.

    Raises:
        ImageError: The file is missing, no regular file, none of :data:`FORMATS`, larger than
            :data:`MAX_PIXELS`, or broken.
    """
    try:
        with _open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"{path}: {image.width} x {image.height} pixels are more than {MAX_PIXELS};"
                    " no larger image is read"
                )
            yield image
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).replace(str(path), "it").split()) or type(error).__name__
        raise ImageError(f"{path}: cannot be read as an image ({_said(error, reason)})") from error


def _said(error: Exception, reason: str) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is empty or damaged, or its content is none of {', '.join(FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return reason


def _open_regular(path: Path) -> BinaryIO:
    """Opens a regular file; a pipe would keep a reader waiting, and a device may do anything."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "something else")
        raise ImageError(f"{path}: is {kind}, not a regular file; it cannot be read as an image")
    # O_NONBLOCK: if a pipe took the place of the file just now, opening it does not wait either.
    flag = getattr(os, "O_NONBLOCK", 0)
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | flag))


def read_rgb(path: Path) -> Image.Image:
    """Reads an image file as an upright RGB picture in its own size; see :func:`as_rgb`.

    Args:
        path: The file.

    Raises:
        ImageError: The file cannot be read; the message names it.
    """
    with opened(path) as image:
        return as_rgb(image)


def as_rgb(image: Image.Image) -> Image.Image:
    """Turns a picture of any kind upright and into 8-bit RGB.

    - EXIF orientation is applied; where the EXIF data is damaged, the picture stays as stored.
    - What is transparent becomes black, in proportion; the hidden colour does not show.
    - 16-bit gray is divided by 257 and rounded (65 535 becomes 255), and so is gray that PIL gives
      as 32-bit integers, which has to be 0..65 535.
    - Floating-point gray is multiplied by 255 and rounded; it has to be 0..1.
    - Everything else (black and white, gray, palette, CMYK, YCbCr, LAB) is converted by PIL.

    Args:
        image: The picture; an RGB picture that is upright and opaque is returned itself.

    Raises:
        ValueError: Integers or floating-point numbers are out of the range that can be scaled.
    """
    image.load()
    if not _ORIENTED.isdisjoint(image.info):
        image = _upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image)
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        return _on_black(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    # Not ImageOps.exif_transpose: it writes the EXIF data anew, which many cameras' does not stand.
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the pixels may be fine all the same
        return image
    turn = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = image.info
    return turned


def _on_black(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, rgba).convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    whole, most = image.mode != "F", 65535 if image.mode != "F" else 1
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= most):  # also where a value is not a number
        kind = "whole" if whole else "floating-point"
        raise ValueError(
            f"{kind} numbers from {low:g} to {high:g}; they have to be from 0 to {most}"
        )
    if whole:
        levels = (values.astype(np.uint32) + 128) // 257
        key = image.info.get("transparency")
        if isinstance(key, int):  # the value that is transparent
            levels[values == key] = 0
    else:
        levels = np.rint(values * np.float32(255))
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def resize(image: Image.Image, size: tuple[int, int]) -> UInt8Image:
    """Resizes an image by PIL's bilinear filter with antialiasing.

    Args:
        image: An image of any mode; it becomes RGB, see :func:`as_rgb`.
        size: (height, width) in pixels.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = size
    if image.mode != "RGB":
        image = as_rgb(image)
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
        ImageError: The file cannot be read; the message names it.
    """
    return resize(read_rgb(path), size)
