"""What may be handed in as an image, and how it becomes pixels of the model's size."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from reid.data.images import UInt8Image, read_rgb, resize
from reid.utils.errors import InputError

Picture: TypeAlias = "str | os.PathLike[str] | Image.Image | np.ndarray | Tensor"
Pictures: TypeAlias = "Picture | Iterable[Picture]"

_KINDS = (
    "an image is a path, a PIL image, a uint8 array (H, W, 3), or a tensor (3, H, W) that is uint8"
    " or floating point in [0, 1]"
)


def pictures(images: Pictures) -> Iterator[Any]:
    """Yields each image of whatever was handed in; a batch (N, ...) yields its N images.

    Args:
        images: One image, a batch of images, or an iterable of images and of batches.

    Raises:
        InputError: Something is no image.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        yield images
    elif isinstance(images, np.ndarray | Tensor):
        if images.ndim == 3:
            yield images
        elif images.ndim == 4:
            yield from images
        else:
            raise InputError(f"{_shown(images)} is neither an image nor a batch: {_KINDS}")
    elif isinstance(images, Iterable):
        for image in images:
            yield from pictures(image)
    else:
        raise InputError(f"{type(images).__name__} is no image: {_KINDS}")


def pixels_of(image: Any, size: tuple[int, int]) -> UInt8Image | Tensor:
    """Returns an image in the model's size.

    Files, PIL images and everything of bytes are resized as ``reid test`` resizes files. A
    floating-point image has no bytes; torch resizes it, bilinear with antialiasing as well.

    Args:
        image: From :func:`pictures`.
        size: (height, width) in pixels.

    Returns:
        (H, W, 3) uint8 array, or (3, H, W) float32 tensor in [0, 1].

    Raises:
        ImageError: A file cannot be read.
        InputError: Shape, type or range of the values are not those of an image.
    """
    if isinstance(image, str | os.PathLike):
        return resize(read_rgb(Path(image)), size)
    if isinstance(image, Image.Image):
        return resize(image, size)
    if isinstance(image, Tensor):
        return _of_tensor(image.detach(), size)
    return _of_array(image, size)


def _of_array(image: np.ndarray, size: tuple[int, int]) -> UInt8Image | Tensor:
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        swapped = image.ndim == 3 and image.shape[0] == 3
        mend = "; an array has the channels last: transpose(1, 2, 0)" if swapped else ""
        raise InputError(f"{_shown(image)} is no image: (H, W, 3), RGB, is expected{mend}")
    if image.dtype == np.uint8:
        return _resized(image, size)
    if image.dtype.kind != "f":
        raise InputError(f"{_shown(image)} is no image: {_KINDS}")
    return _of_floats(torch.from_numpy(np.ascontiguousarray(image, np.float32)), (2, 0, 1), size)


def _of_tensor(image: Tensor, size: tuple[int, int]) -> UInt8Image | Tensor:
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        swapped = image.ndim == 3 and image.shape[2] == 3
        mend = "; a tensor has the channels first: permute(2, 0, 1)" if swapped else ""
        raise InputError(f"{_shown(image)} is no image: (3, H, W), RGB, is expected{mend}")
    if image.dtype == torch.uint8:
        return _resized(image.permute(1, 2, 0).cpu().numpy(), size)
    if not image.is_floating_point():
        raise InputError(f"{_shown(image)} is no image: {_KINDS}")
    return _of_floats(image.float().cpu(), (0, 1, 2), size)


def _resized(image: UInt8Image, size: tuple[int, int]) -> UInt8Image:
    if image.shape[:2] == tuple(size):
        return image
    return resize(Image.fromarray(np.ascontiguousarray(image)), size)


def _of_floats(image: Tensor, order: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Checks the range of float32 pixels and brings them to (3, height, width)."""
    low, high = (float(value) for value in torch.aminmax(image))  # NaN propagates
    if not (low >= 0 and high <= 1):
        mend = (
            "hand in uint8, or divide by 255"
            if high <= 255 and low >= 0
            else "undo what was done to them"
        )
        raise InputError(
            f"floating-point pixels must be in [0, 1], got {low:g} to {high:g}; {mend}"
            " (the model normalizes pixels itself)"
        )
    image = image.permute(*order)
    if tuple(image.shape[1:]) == tuple(size):
        return image
    return F.interpolate(image[None], size, mode="bilinear", antialias=True)[0].clamp_(0, 1)


def _shown(image: np.ndarray | Tensor) -> str:
    kind = "a tensor" if isinstance(image, Tensor) else "an array"
    return f"{kind} of shape {tuple(image.shape)} and type {str(image.dtype).rpartition('.')[2]}"
