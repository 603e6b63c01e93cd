"""TensorBoard shows each epoch once, in whatever order the clock goes."""

import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reid.engine.writer import keep_order, open_writer


def write(folder: Path, last: int, epochs: range, value: float) -> None:
    with open_writer(folder, last) as writer:
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
