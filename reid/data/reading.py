"""Reads many image files at once, with a progress bar; finds those that cannot be read."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from reid.data.images import ImageError, read_rgb

Item = TypeVar("Item")
Found = TypeVar("Found")


def in_parallel(
    work: Callable[[Item], Found], items: Sequence[Item], threads: int, title: str
) -> Iterator[Found]:
    """Yields ``work(item)`` of each item, in order.

    Threads are enough to decode images, since PIL releases Python's lock.

    Args:
        work: What is done with each item.
        items: Paths, or whatever names an image file.
        threads: Number of threads; at least one is started.
        title: Title of the progress bar, which is shown if the work takes longer than 5 seconds.
    """
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        results = pool.map(work, items)
        yield from tqdm(results, title, len(items), leave=False, delay=5, disable=None)


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
