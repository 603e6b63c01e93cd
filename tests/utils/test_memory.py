"""Free memory: the system's word, or the control group's where that is less."""

import contextlib
import gc
import os
from pathlib import Path

import pytest

from reid.utils.memory import UNKNOWN, as_gib, free_disk, free_memory, no_garbage


def meminfo(folder: Path, available: int) -> Path:
    path = folder / "meminfo"
    path.write_text(f"MemTotal: 999 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")
    return path


def group(folder: Path, limit: str, used: int, droppable: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\ninactive_file {droppable}\nactive_file 5\n")
    return folder


def test_available_memory_counts_in_bytes(tmp_path: Path) -> None:
    assert free_memory(meminfo(tmp_path, 500), tmp_path / "none") == 500 * 1024


@pytest.mark.parametrize(
    ("limit", "used", "droppable", "expected"),
    [
        ("1000", 700, 100, 400),  # files that the group may drop count as free
        ("1000", 1300, 100, 0),
        ("max", 700, 100, 500 * 1024),
        ("9999999", 1, 0, 500 * 1024),
    ],
)
def test_a_control_group_may_allow_less(
    tmp_path: Path, limit: str, used: int, droppable: int, expected: int
) -> None:
    facts = meminfo(tmp_path, 500)
    assert free_memory(facts, group(tmp_path, limit, used, droppable)) == expected


def test_the_machine_at_hand_has_some() -> None:
    assert free_memory() > 0
    assert free_memory(Path("nowhere"), Path("nowhere")) > 0
    assert free_disk(Path()) > 0


def test_sizes_are_written_for_a_reader() -> None:
    assert as_gib(3 * 2**30) == "3.00 GiB"
    assert as_gib(2**20) == "1.0 MiB"


def test_on_windows_nothing_is_known_and_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert free_memory(Path("nowhere"), Path("nowhere")) == UNKNOWN > 2**60
    assert free_memory() > 0


def test_garbage_is_looked_for_again_after_the_block() -> None:
    assert gc.isenabled()
    with no_garbage():
        assert not gc.isenabled()
    assert gc.isenabled()
    with contextlib.suppress(KeyError), no_garbage():
        raise KeyError
    assert gc.isenabled()
