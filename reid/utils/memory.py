"""How many bytes are free, and whether something fits; and no search for garbage for a while."""

import contextlib
import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
UNKNOWN = 2**63  # more than any machine has, so that nothing is refused for it


def free_memory(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Returns the bytes of memory that this process may still take.

    This is what Linux calls available; file caches count as available, since they can be dropped.
    On Windows it is not known, and the result is :data:`UNKNOWN`.
    It is less if the process runs in a control group with a lower limit, as in a container.

    Args:
        meminfo: File in which Linux reports its memory.
        cgroup: Folder in which a control group (version 2) reports its limit and its use.
    """
    return min(_available(meminfo), _free_in_group(cgroup))


def free_disk(folder: Path) -> int:
    """Returns the bytes free on the disk of a folder, or of what is above it if it is missing."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def as_gib(count: int) -> str:
    """Returns a number of bytes as text for a reader: ``1.18 GiB``, ``3.2 MiB``."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**29 else f"{count / 2**20:.1f} MiB"


def _available(meminfo: Path) -> int:
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:  # macOS: an upper bound is all that the standard library knows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf: nothing is known
        return UNKNOWN


def _free_in_group(cgroup: Path) -> int:
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        facts = (cgroup / "memory.stat").read_text(encoding="ascii").split()
        droppable = int(facts[facts.index("inactive_file") + 1])
        return UNKNOWN if limit == "max" else max(0, int(limit) - used + droppable)
    except (OSError, ValueError):  # no control group, or one of version 1
        return UNKNOWN


@contextlib.contextmanager
def no_garbage() -> Iterator[None]:
    """Has Python look for no circular garbage in the block.

    Where millions of objects are made that all stay, it would go through them again and again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
