"""Reads many image files at once, with a progress bar; finds those that cannot be read."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from reid.data.images import ImageError, read_rgb

T = TypeVar("T")


def in_parallel(
    work: Callable[[Path], T], paths: Sequence[Path], threads: int, title: str
) -> Iterator[T]:
    """Yields ``work(path)`` of each path, in order.

    Threads are enough to decode images, since PIL releases Python's lock.

    Args:
        work: What is done with each path.
        paths: The files.
        threads: Number of threads; at least one is started.
        title: Title of the progress bar, which is shown if the work takes longer than 5 seconds.
    """
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        results = pool.map(work, paths)
        yield from tqdm(results, title, len(paths), leave=False, delay=5, disable=None)


def unreadable(paths: Sequence[Path], threads: int, title: str) -> list[tuple[Path, str]]:
    """Decodes every image once, and returns those that cannot be read, in order, with the reason.

    Args:
        paths: The image files.
        threads: Number of threads that decode.
        title: What the images are called in the progress bar.
    """
    found = in_parallel(_fault, paths, threads, f"checking {title}")
    return [(path, fault) for path, fault in zip(paths, found, strict=True) if fault is not None]


def _fault(path: Path) -> str | None:
    try:
        read_rgb(path)
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return None
