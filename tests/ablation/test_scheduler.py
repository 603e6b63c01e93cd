"""Cells beside each other: what is done stays done, what fails is said, what is to stop stops."""

import contextlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from studies import Pretended, Runs, cells, states_in_file, study

from reid.jobs.ablation.forecast import Forecast, Running
from reid.jobs.ablation.plan import Cell, Step
from reid.jobs.ablation.processes import CellLock, StepProcess, log_of, why_failed
from reid.jobs.ablation.record import (
    CellRecord,
    drop_weights,
    move_aside,
    study_threads,
    write_study,
)
from reid.utils.errors import InputError


def test_each_step_of_each_cell_runs_once(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, "a", "b"))
    assert runs.run().finished == 2
    assert runs.started == ["a:train", "a:test", "b:train", "b:test"]
    assert states_in_file(tmp_path, runs.cells) == {"done": 2}
    again = Runs(runs.cells)
    again.run()
    assert again.started == []


def test_cells_run_beside_each_other(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, *"abcde"), jobs=2)
    runs.run()
    assert runs.most == 2
    assert sorted(runs.started) == sorted(f"{n}:{s}" for n in "abcde" for s in ("train", "test"))


def test_a_failed_cell_does_not_stop_the_rest_and_is_tried_again(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, "a", "b", "c"))
    runs.codes["b:train"] = 1
    runs.at["b:train"] = lambda: log_of(runs.cells[1], runs.cells[1].steps[0]).write_text(
        "Traceback\n  a line\nerror: the disk is full\n\n"
    )
    scheduler = runs.run()
    assert runs.states() == {"a": "done", "b": "failed", "c": "done"}
    assert [(cell.variant, line) for cell, line in scheduler.failed] == [
        ("b", f"train: the disk is full; see {tmp_path}/b/seed0/train.out")
    ]
    failed = json.loads((tmp_path / "b/seed0/cell.json").read_text())["failed"]
    assert failed == {"step": "train", "error": "the disk is full", "log": "train.out", "code": 1}
    again = Runs(runs.cells)
    again.run()
    assert again.started == ["b:train", "b:test"]
    assert again.states()["b"] == "done"


def test_a_failed_test_leaves_the_training_done(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, "a", steps="train test attack"))
    runs.codes["a:test"] = 2
    runs.run()
    assert runs.started == ["a:train", "a:test"]
    again = Runs(runs.cells)
    again.run()
    assert again.started == ["a:test", "a:attack"]


def test_a_request_to_stop_interrupts_each_step_once(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, "a", "b", "c"), jobs=2)
    runs.at["b:train"] = lambda: setattr(runs.stop, "signum", 2)
    scheduler = runs.run()
    assert runs.started == ["a:train", "b:train"]
    assert [one.ended for one in runs.alive] == [["interrupt"], ["interrupt"]]
    assert runs.states() == {"a": "interrupted", "b": "interrupted", "c": "pending"}
    assert scheduler.failed == []  # who was asked to end has not failed
    assert Runs(runs.cells).run().finished == 3


def test_a_step_that_ends_while_stopping_is_done_and_the_next_does_not_begin(
    tmp_path: Path,
) -> None:
    runs = Runs(cells(tmp_path, "a"))
    runs.at["a:train"] = lambda: setattr(runs.stop, "signum", 15)
    done = Pretended(runs.cells[0], runs.cells[0].steps[0])
    done.interrupt = lambda: None  # it was about to end by itself
    runs.start = lambda *args: (runs.at["a:train"](), done)[1]
    runs.run()
    again = Runs(runs.cells)
    again.run()
    assert again.started == ["a:test"]


def test_an_error_of_the_study_kills_its_children(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, "a", "b"), jobs=2)

    def broken() -> None:
        raise OSError("the disk is gone")

    runs.at["b:train"] = broken
    with pytest.raises(OSError, match="the disk is gone"):
        runs.run()
    assert runs.alive[0].ended == ["kill"]


def test_a_cell_of_another_process_is_waited_for(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, "a", "b"))
    other = CellLock(runs.cells[0])
    assert other.acquire()
    assert not CellLock(runs.cells[0]).acquire()
    runs.at["b:test"] = other.release  # undone: it is run here then
    runs.run()
    assert runs.started == ["b:train", "b:test", "a:train", "a:test"]
    assert sum("another process" in line for line in runs.said) == 1


def test_what_another_process_finished_is_not_run(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, "a", "b"))
    other = Runs(runs.cells[:1])
    lock = CellLock(runs.cells[0])
    assert lock.acquire()
    runs.at["b:train"] = lambda: (lock.release(), other.run())
    runs.run()
    assert runs.started == ["b:train", "b:test"]
    assert other.started == ["a:train", "a:test"]
    assert runs.states() == {"a": "done", "b": "done"}


class Killed(BaseException):
    """The study is killed."""


class BrokenOff(Runs):
    """Is killed when it begins a step too many; knows which steps were done when it began."""

    def __init__(self, group: list[Cell], jobs: int, after: int) -> None:
        super().__init__(group, jobs)
        self.after = after
        self.done = {
            f"{cell.variant}:{name}"
            for cell in group
            for name, entry in CellRecord(cell).steps.items()
            if entry["state"] == "done"
        }

    def start(self, cell: Cell, step: Step, place: int, lock: CellLock) -> Pretended:
        assert f"{cell.variant}:{step.name}" not in self.done
        if len(self.started) == self.after:
            raise Killed
        return super().start(cell, step, place, lock)


@pytest.mark.parametrize("seed", range(10))
def test_a_study_that_is_broken_off_at_any_point_arrives(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    group = cells(tmp_path, "a", "b", "c", steps="train test attack")
    wanted = {f"{name}:{step}" for name in "abc" for step in ("train", "test", "attack")}
    begun: set[str] = set()
    for _ in range(100):
        runs = BrokenOff(group, rng.choice([1, 2]), rng.randrange(1, 4))
        with contextlib.suppress(Killed):
            runs.run()
        begun |= set(runs.started)
        if set(runs.states().values()) == {"done"}:
            break
    assert runs.states() == {"a": "done", "b": "done", "c": "done"}
    assert begun == wanted


def test_a_changed_recipe_is_told_from_one_that_is_not_done(tmp_path: Path) -> None:
    before = cells(tmp_path, "a")
    Runs(before).run()
    now = cells(tmp_path, "a", key="other")
    record = CellRecord(now[0])
    assert record.changed() and record.state() == "changed"
    aside = move_aside(now[0], tmp_path)
    assert aside == tmp_path / ".replaced/a_seed0_1" and (aside / "last.pth").exists()
    assert CellRecord(now[0]).state() == "pending"


def test_a_recipe_that_failed_at_once_may_be_mended(tmp_path: Path) -> None:
    runs = Runs(cells(tmp_path, "a"))
    runs.codes["a:train"] = 2
    runs.run()
    (now,) = cells(tmp_path, "a", key="mended")
    assert not CellRecord(now).changed()
    (now.folder / "last.pth").write_text("weights")
    assert CellRecord(now).changed()


def test_the_seconds_of_all_starts_of_a_step_count(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path, "a")
    record = CellRecord(cell)
    for seconds in (5.0, 2.0):
        record.begin(cell.steps[0], 1)
        record.stop(cell.steps[0], seconds)
    record.begin(cell.steps[0], 1)
    record.end(cell.steps[0], 1.0)
    assert CellRecord(cell).steps["train"]["spent"] == 8.0


def test_weights_that_are_gone_are_trained_anew_if_something_needs_them(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path, "a")
    Runs([cell]).run()
    drop_weights(cell)
    assert CellRecord(cell).state() == "done" and not (cell.folder / "last.pth").exists()
    (more,) = cells(tmp_path, "a", steps="train test attack")
    assert [step.name for step in CellRecord(more).missing()] == ["train", "test", "attack"]
    Runs([more]).run()
    (cell.folder / "last.pth").write_text("weights")
    retest = Step("test", (), "another key")
    other = type(more)(**{**vars(more), "steps": (more.steps[0], retest, more.steps[2])})
    assert CellRecord(other).missing() == [retest]


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path, "a")
    Runs([cell]).run()
    for text in ("", "{", "[]", '{"steps": 3}'):
        (cell.folder / "cell.json").write_text(text)
        assert CellRecord(cell).state() == "pending"


def test_study_json_says_what_there_is(tmp_path: Path) -> None:
    group = cells(tmp_path, "a", "b")
    runs = Runs(group)
    runs.codes["b:test"] = -9
    runs.run()
    write_study(study(tmp_path, group), group, 2)
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["baseline"] == "a" and content["states"] == {"done": 1, "failed": 1}
    assert content["variants"]["a"] == {
        "config": "base.yml", "overrides": {}, "recipe_hashes": ["r-a"],
    }  # fmt: skip
    first, second = content["cells"]
    assert (first["folder"], first["recipe_hash"], first["state"]) == ("a/seed0", "r-a", "done")
    assert second["failed"]["error"] == "ended by SIGKILL (was there too little memory?)"
    assert study_threads(tmp_path) == 2 and study_threads(tmp_path / "a") == 0


def test_a_process_that_outlives_its_study_keeps_its_cell(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path, "a")
    lock = CellLock(cell)
    assert lock.acquire()
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE, pass_fds=lock.handles,
    )  # fmt: skip
    lock.release()  # as the system does it when the study is killed
    after = CellLock(cell)
    assert not after.acquire()
    child.communicate()
    assert after.acquire()
    after.release()


def test_a_step_runs_with_its_threads_and_writes_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: (command, options))
    step = Step("train", ("SEED", "3"), "")
    command, options = StepProcess(step, tmp_path / "x.out", 3, device="1")._process
    assert command[1:] == ["-m", "reid", "train", "SEED", "3"]
    assert options["env"]["OMP_NUM_THREADS"] == "3"
    assert options["env"]["CUDA_VISIBLE_DEVICES"] == "1"
    assert options["start_new_session"] and options["stdout"].name == str(tmp_path / "x.out")


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        (2, "x\nerror: SEED must be at least 0\n", "SEED must be at least 0"),
        (1, "Traceback ...\nValueError: no\n\n", "ValueError: no"),
        (1, "", "exit code 1, and no word"),
        (-9, "fine so far", "ended by SIGKILL (was there too little memory?)"),
        (-11, "", "ended by SIGSEGV"),
    ],
)
def test_a_failure_is_one_line(tmp_path: Path, code: int, text: str, said: str) -> None:
    log = tmp_path / "train.out"
    log.write_text(text)
    assert why_failed(code, log) == said


def test_the_forecast_is_of_what_is_known(tmp_path: Path) -> None:
    a, b = cells(tmp_path, "a", "b")
    forecast = Forecast([])
    waiting = [(b, b.steps[0]), (b, b.steps[1])]
    assert forecast.remaining(waiting, [], 1) is None
    # A training of a that has done a quarter in 10 s takes 30 s more, and b's then 40 s; no test
    # has ended, so there is more to it.
    running = [Running(a, a.steps[0], 10.0, 0.25)]
    assert forecast.remaining(waiting, running, 1) == (70.0, True)
    forecast.learn(a, "train", 20.0)
    forecast.learn(a, "test", 4.0)
    assert forecast.remaining(waiting, [], 1) == (24.0, False)
    assert forecast.remaining(waiting, [], 2) == (12.0, False)
    forecast.learn(b, "train", 60.0)  # its own goes before that of others
    assert forecast.remaining(waiting, [Running(a, a.steps[1], 1.0)], 2) == (33.5, False)


def test_two_studies_do_not_move_one_cell(tmp_path: Path) -> None:
    from reid.jobs import ablate

    (cell,) = cells(tmp_path, "a")
    Runs([cell]).run()
    (now,) = cells(tmp_path, "a", key="other")
    lock = CellLock(now)
    assert lock.acquire()
    with pytest.raises(InputError, match="is being written by another process"):
        ablate.clear_way(study(tmp_path, [now]), [now], True, ablate.get_logger(tmp_path, "t"))
    lock.release()
    with pytest.raises(InputError, match="add --replace"):
        ablate.clear_way(study(tmp_path, [now]), [now], False, ablate.get_logger(tmp_path, "t"))
    ablate.clear_way(study(tmp_path, [now]), [now], True, ablate.get_logger(tmp_path, "t"))
    assert not now.folder.exists()
