"""Decodes a split once and keeps its resized pixels in memory or in a file beside the run."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from reid.data.cache.file import (
    CacheError,
    DiskRows,
    Key,
    locked,
    rows_of,
    write_rows,
)
from reid.data.images import ImageError, UInt8Image, decode
from reid.data.reading import in_parallel
from reid.utils.logs import make_dir
from reid.utils.memory import as_gib, free_disk, free_memory

MAX_FRACTION = 0.8  # of the free bytes may be used; the run needs the others


def decode_all(
    paths: Sequence[Path], size: tuple[int, int], threads: int, title: str
) -> Iterator[UInt8Image]:
    """Yields the images in order, (height, width, 3) uint8.

    Args:
        paths: The image files.
        size: (height, width) in pixels.
        threads: Number of threads that decode.
        title: Title of the progress bar, which is shown if decoding takes longer than 5 seconds.
    """
    return in_parallel(lambda path: decode(path, size), paths, threads, f"decoding {title}")


def cache_in_memory(
    paths: Sequence[Path],
    size: tuple[int, int],
    threads: int,
    title: str,
    free: int | None = None,
) -> np.ndarray:
    """Decodes a split into memory.

    Args:
        paths: The N image files.
        size: (height, width) in pixels.
        threads: Number of threads that decode.
        title: Name of the split in messages.
        free: Bytes of memory that are free; None asks the system.

    Returns:
        (N, H, W, 3) uint8, in the order of ``paths``; a batch of its rows is channels_last.

    Raises:
        CacheError: The pixels do not fit into memory.
        ImageError: An image cannot be read.
    """
    _check_fits(len(paths), size, title, "memory", free_memory() if free is None else free)
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
) -> DiskRows:
    """Decodes a split into a file, and reuses the images that an earlier run wrote there.

    An image is reused if its path, its size in bytes and its time of change are the same as when
    it was written. The file is written whole or not at all; of several processes that need it,
    one writes it, the others wait, and all read the same pages of the system's file cache.

    Args:
        paths: The N image files.
        size: (height, width) in pixels.
        threads: Number of threads that decode.
        title: Name of the split in messages.
        file: Cache file that keeps the rows; its folder is made.
        free: Bytes of disk that are free; None asks the system.

    Returns:
        Rows like an array (N, H, W, 3) uint8, read from the file when they are asked for.

    Raises:
        CacheError: The file does not fit on the disk or cannot be written.
        ImageError: An image cannot be read.
    """
    keys = [_key(path) for path in paths]
    make_dir(file.parent)
    with locked(file):
        old = rows_of(file, size)
        if list(old) != keys:
            free = free_disk(file.parent) if free is None else free
            _check_fits(len(paths), size, title, "disk", free)
            write_rows(file, size, keys, _merged(file, size, keys, old, threads, title))
        return DiskRows(file, size)


def _merged(
    file: Path,
    size: tuple[int, int],
    keys: Sequence[Key],
    old: dict[Key, int],
    threads: int,
    title: str,
) -> Iterator[UInt8Image]:
    """Yields each image, read from the old file if it has it, and decoded otherwise."""
    kept = DiskRows(file, size) if old else None
    whole = {key: row for key, row in old.items() if kept is not None and kept.intact(row)}
    new = [Path(key[0]) for key in keys if key not in whole]
    decoded = decode_all(new, size, threads, title)
    for key in keys:
        yield kept[whole[key]] if kept is not None and key in whole else next(decoded)


def _key(path: Path) -> Key:
    try:
        facts = os.stat(path)
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{path}: cannot be read as an image ({reason})") from error
    return os.path.abspath(path), facts.st_size, facts.st_mtime_ns


def _check_fits(count: int, size: tuple[int, int], title: str, where: str, free: int) -> None:
    needed = count * size[0] * size[1] * 3
    if needed > MAX_FRACTION * free:
        other = "disk or none" if where == "memory" else "none"
        raise CacheError(
            f"the {count} images of {title} at {size[0]}x{size[1]} need {as_gib(needed)}"
            f" ({needed} bytes) of {where}, of which {as_gib(free)} ({free} bytes) are free and"
            f" {MAX_FRACTION:.0%} may be used",
            other,
        )
