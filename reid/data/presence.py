"""Says which of many files are not there, without asking the disk for each one."""

import os
from collections.abc import Sequence

FEW = 32  # a folder of which fewer files are wanted is not listed: it may hold millions of others


def missing(paths: Sequence[str]) -> list[int]:
    """Returns the positions of the files that do not exist, in order.

    A folder is listed once, which takes a fraction of the time of asking for each of its files. A
    name that is not in the list is asked for all the same: a disk may write it otherwise, in
    upper case or with its accents composed.

    Args:
        paths: Absolute paths.
    """
    by_folder: dict[str, list[int]] = {}
    for place, path in enumerate(paths):
        by_folder.setdefault(os.path.dirname(path), []).append(place)
    doubtful: list[int] = []
    for folder, places in by_folder.items():
        if len(places) < FEW:
            doubtful += places
            continue
        names = _names(folder)
        doubtful += [place for place in places if os.path.basename(paths[place]) not in names]
    return sorted(place for place in doubtful if not _exists(paths[place]))


def _names(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (OSError, ValueError):
        return set()


def _exists(path: str) -> bool:
    try:
        return os.path.exists(path)
    except ValueError:  # a NUL byte, before Python 3.12
        return False
