"""TensorBoard shows each epoch once, in whatever order the clock goes, and whatever fails."""

import errno
import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reid.engine.board import keep_order
from reid.engine.writer import RunWriter

LOGGER = logging.getLogger("test")


def write(folder: Path, last: int, epochs: range, value: float) -> None:
    writer = RunWriter(folder, last, LOGGER)
    for epoch in epochs:
        writer.write({"epoch": epoch, "loss": value})


def shown(folder: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("loss")]


@pytest.mark.parametrize("hours", [[0, 0, 0], [0, -5, -9], [0, 5, -9], [0, -5, 3]])
def test_a_resumed_run_is_whole_where_the_clock_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: list[int]
) -> None:
    now, clock = time.time(), 0.0
    monkeypatch.setattr(time, "time", lambda: now + clock)
    runs = [(0, range(1, 6), 1.0), (4, range(5, 8), 2.0), (6, range(7, 11), 3.0)]
    for hour, run in zip(hours, runs, strict=True):
        clock = 3600.0 * hour
        write(tmp_path, *run)
    # Epoch 5 of the first run, and 7 of the second, were not saved, and are trained again.
    assert shown(tmp_path) == [(e, 1.0 if e < 5 else 2.0 if e < 7 else 3.0) for e in range(1, 11)]
    stamps = [path.name for path in (tmp_path / "tensorboard").iterdir()]
    assert len(set(stamps)) == 3


def test_files_get_earlier_names_in_their_old_order_and_others_stay(tmp_path: Path) -> None:
    names = {"a": 500, "b": 1200, "c": 1200, "d": 999, "e": 3000}
    for host, stamp in names.items():
        (tmp_path / f"events.out.tfevents.{stamp:010d}.{host}.1.0").touch()
    (tmp_path / "events.out.tfevents.foreign").touch()
    keep_order(tmp_path, 1000)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [
        *(
            f"events.out.tfevents.{stamp:010d}.{host}.1.0"
            for host, stamp in {"a": 500, "d": 996, "b": 997, "c": 998, "e": 999}.items()
        ),
        "events.out.tfevents.foreign",
    ]
    keep_order(tmp_path / "nowhere", 1000)


class FullDisk:
    """A disk that takes ``room`` bytes more into files that are opened to append."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: float = float("inf")
        original = Path.open
        disk = self

        class File:
            def __init__(self, file: Any) -> None:
                self.file = file

            def write(self, data: memoryview) -> int:
                if not disk.room:
                    raise OSError(errno.ENOSPC, "No space left on device")
                written = int(min(disk.room, len(data)))
                disk.room -= written
                return int(self.file.write(data[:written]))

            def __getattr__(self, name: str) -> Any:
                return getattr(self.file, name)

            def __enter__(self) -> "File":
                return self

            def __exit__(self, *_: object) -> None:
                self.file.close()

        def opened(path: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
            file = original(path, mode, *args, **more)
            return File(file) if mode == "ab" else file

        monkeypatch.setattr(Path, "open", opened)


@pytest.mark.parametrize("room", [0, 1, 30, 400])
def test_rows_wait_for_room_on_the_disk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    room: int,
) -> None:
    disk = FullDisk(monkeypatch)
    writer = RunWriter(tmp_path, 0, LOGGER)
    writer.write({"epoch": 1, "loss": 1.0})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    disk.room = room
    writer.write({"epoch": 2, "loss": 2.0})
    writer.add_image("input", torch.rand(3, 40, 40), 2)
    assert "picture input of epoch 2 waits to be written: [Errno 28]" in caplog.text
    for path, content in before.items():
        rest = path.read_bytes()[len(content) :]
        assert path.read_bytes().startswith(content)
        assert not rest or rest.endswith(b"\n") or room == 400, "only whole pieces"
    disk.room = float("inf")
    writer.write({"epoch": 3, "loss": 3.0})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert shown(tmp_path) == [(1, 1.0), (2, 2.0), (3, 3.0)]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [image.step for image in events.Images("input")] == [2]


def test_a_folder_that_vanishes_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    writer = RunWriter(folder, 0, LOGGER)
    for epoch in (1, 2, 3):
        writer.write({"epoch": epoch, "loss": float(epoch)})
        if epoch == 1:
            shutil.rmtree(folder)
    assert shown(folder) == [(2, 2.0), (3, 3.0)]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
