"""Freed memory stays with the process, and numbers stay as they are."""

import subprocess
import sys

import pytest

# Writes 64 MiB twice, and prints how many pages the system had to clear each time.
TWICE = """
import resource, sys
import numpy as np
from reid.utils.allocator import keep_freed_memory

told = sys.argv[1] == "give" or keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(1 << 26, np.uint8).fill(7)
    print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems are left alone")
@pytest.mark.parametrize(("way", "again"), [("keep", False), ("give", True)])
def test_pages_are_cleared_once_or_each_time(way: str, again: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE, way], capture_output=True, text=True, check=True
    )
    (told, first), (_, second) = (line.split() for line in done.stdout.splitlines())
    if told == "False":
        pytest.skip("another C library than GNU's")
    pages = (1 << 26) / 2**21  # of 2 MiB, if the system gives such pages
    assert int(first) >= pages
    assert (int(second) >= pages) == again
