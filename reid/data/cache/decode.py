"""Decode once: the resized pixels of a split, in memory or in a file beside the run."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from reid.data.cache.file import CacheError, Key, locked, open_rows, rows_of, write_rows
from reid.data.images import UInt8Image, decode
from reid.utils.errors import InputError
from reid.utils.logs import make_dir
from reid.utils.memory import as_gib, free_disk, free_memory

HEADROOM = 0.8  # share of what is free that a store may take


def decode_all(
    paths: Sequence[Path], size: tuple[int, int], threads: int, title: str
) -> Iterator[UInt8Image]:
    """Yields the images in order; PIL lets go of Python's lock, so that threads are enough.

    Args:
        paths: The images.
        size: (height, width).
        threads: How many decode at a time.
        title: Of the bar that is shown where it takes longer than a few seconds.
    """
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        images = pool.map(lambda path: decode(path, size), paths)
        yield from tqdm(images, f"decoding {title}", len(paths), leave=False, delay=5, disable=None)


def cache_in_memory(
    paths: Sequence[Path],
    size: tuple[int, int],
    threads: int,
    title: str,
    free: int | None = None,
) -> np.ndarray:
    """Decodes a split into memory.

    Args:
        paths: The images.
        size: (height, width).
        threads: How many decode at a time.
        title: What the split is called in messages.
        free: Bytes of memory that are free; None asks the system.

    Returns:
        (N, H, W, 3) uint8, in the order of ``paths``: a batch then is channels_last as it is.

    Raises:
        InputError: If it does not fit, or an image is broken.
    """
    _check_room(len(paths), size, title, "memory", free_memory() if free is None else free)
    pixels = np.empty((len(paths), *size, 3), np.uint8)
    for row, image in zip(pixels, decode_all(paths, size, threads, title), strict=True):
        row[...] = image
    return pixels


def cache_on_disk(
    paths: Sequence[Path],
    size: tuple[int, int],
    threads: int,
    title: str,
    file: Path,
    free: int | None = None,
) -> np.ndarray:
    """Decodes a split into a file, or takes what an earlier run left there.

    An image is taken from the file if it has the path, the size in bytes and the time of change
    that it had then. The file is written whole or not at all; of several processes that want it,
    one writes and the others wait for it and share its pages.

    Args:
        paths: The images.
        size: (height, width).
        threads: How many decode at a time.
        title: What the split is called in messages.
        file: Where the rows are kept; its folder is made.
        free: Bytes of disk that are free; None asks the system.

    Returns:
        (N, H, W, 3) uint8, mapped; changing it changes no file.

    Raises:
        InputError: If it does not fit or cannot be written, or an image is broken.
    """
    keys = [_key(path) for path in paths]
    make_dir(file.parent)
    with locked(file):
        old = rows_of(file, size)
        if list(old) != keys:
            room = free_disk(file.parent) if free is None else free
            _check_room(len(paths), size, title, "disk", room)
            write_rows(file, size, keys, _merged(file, size, keys, old, threads, title))
        return open_rows(file, size, len(keys))


def _merged(
    file: Path,
    size: tuple[int, int],
    keys: Sequence[Key],
    old: dict[Key, int],
    threads: int,
    title: str,
) -> Iterator[UInt8Image]:
    """Yields each image from the old file where it is in there, else decoded."""
    kept = open_rows(file, size, len(old)) if old else ()
    new = [Path(key[0]) for key in keys if key not in old]
    decoded = decode_all(new, size, threads, title)
    for key in keys:
        yield kept[old[key]] if key in old else next(decoded)


def _key(path: Path) -> Key:
    try:
        facts = os.stat(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error
    return os.path.abspath(path), facts.st_size, facts.st_mtime_ns


def _check_room(count: int, size: tuple[int, int], title: str, where: str, free: int) -> None:
    needed = count * size[0] * size[1] * 3
    if needed > HEADROOM * free:
        other = "disk or none" if where == "memory" else "none"
        raise CacheError(
            f"the {count} images of {title} at {size[0]}x{size[1]} need {as_gib(needed)}"
            f" ({needed} bytes) of {where}, of which {as_gib(free)} ({free} bytes) are free and"
            f" {HEADROOM:.0%} may be used",
            other,
        )
