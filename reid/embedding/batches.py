"""Images become batches while the network computes; memory holds a few batches, however many."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from reid.data.images import ImageError
from reid.embedding.inputs import pixels_of

CHUNK = 16  # images of one task: a task for each image costs a tenth of the time to decode one
AHEAD = 2  # batches that are decoded before they are needed

Item = TypeVar("Item")
Made = TypeVar("Made")


class Failed(NamedTuple):
    """An image that cannot be read.

    Attributes:
        place: Its place among the images.
        error: What says why.
    """

    place: int
    error: ImageError


class PixelBatch(NamedTuple):
    """Images of one size, on the CPU.

    Attributes:
        images: (B, 3, H, W) uint8, or float32 in [0, 1] if one of them is floating point;
            channels_last.
        places: Place of each among all images, B of them.
        failed: Those in between that cannot be read.
    """

    images: Tensor
    places: list[int]
    failed: list[Failed]


def batches(
    images: Iterable[Any], size: tuple[int, int], batch_size: int, threads: int
) -> Iterator[PixelBatch]:
    """Yields batches of images in their order; the last one may be smaller.

    Args:
        images: From :func:`reid.embedding.inputs.pictures`.
        size: (height, width) that they are resized to, in pixels.
        batch_size: Images in a batch.
        threads: Number of threads that decode and resize.
    """
    step = min(CHUNK, batch_size)
    window = max(threads, 1) + -(-AHEAD * batch_size // step)
    made: list[Any] = []
    failed: list[Failed] = []
    places: list[int] = []
    for chunk in ahead(lambda part: _pixels(part, size), _numbered(images, step), threads, window):
        for place, pixels in chunk:
            if isinstance(pixels, ImageError):
                failed.append(Failed(place, pixels))
                continue
            made.append(pixels)
            places.append(place)
            if len(made) == batch_size:
                yield PixelBatch(_stacked(made), places, failed)
                made, places, failed = [], [], []
    if made or failed:
        images_of = _stacked(made) if made else torch.empty(0, 3, *size, dtype=torch.uint8)
        yield PixelBatch(images_of, places, failed)


def ahead(
    work: Callable[[Item], Made], items: Iterable[Item], threads: int, window: int
) -> Iterator[Made]:
    """Yields ``work(item)`` in order while threads work on the next items.

    Args:
        work: What is done with each item.
        items: Items, which are asked for one after another, not all at once.
        threads: Number of threads; at least one is started.
        window: Items that are begun before they are needed.
    """
    with ThreadPoolExecutor(max(threads, 1), "reid-decode") as pool:
        waiting: deque[Future[Made]] = deque()
        source = iter(items)
        try:
            for item in source:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= window:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _numbered(images: Iterable[Any], step: int) -> Iterator[list[tuple[int, Any]]]:
    source = iter(enumerate(images))
    while part := list(islice(source, step)):
        yield part


def _pixels(part: list[tuple[int, Any]], size: tuple[int, int]) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    for place, image in part:
        try:
            found.append((place, pixels_of(image, size)))
        except ImageError as error:
            found.append((place, error))
    return found


def _stacked(made: list[Any]) -> Tensor:
    """Returns (B, 3, H, W) of B images, bytes if all are bytes."""
    if all(isinstance(image, np.ndarray) for image in made):
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)
    floats = [image if isinstance(image, Tensor) else _unit(image) for image in made]
    return torch.stack(floats).contiguous(memory_format=torch.channels_last)


def _unit(image: np.ndarray) -> Tensor:
    """Turns (H, W, 3) bytes into (3, H, W) in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float().div(255)
