"""Cells as jobs of an engine: submitted, waited for, cancelled; and one by submitit itself."""

import logging
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from commands import ROOT, run
from studies import cells

from reid.jobs.ablation import cluster
from reid.jobs.ablation.cell_job import CellJob
from reid.utils.errors import InputError
from reid.utils.signals import Stopped


class Job:
    """A job that is done at the second look."""

    def __init__(self, work: CellJob, number: int) -> None:
        self.work = work
        self.job_id = str(number)
        self.paths = SimpleNamespace(stdout="words", stderr="errors")
        self.looks = 0
        self.cancelled = False

    def done(self) -> bool:
        self.looks += 1
        return self.looks > 1

    def result(self) -> int:
        if "c/seed0" in self.work.arguments:
            raise RuntimeError("the node is gone")
        return 1 if "b/seed0" in self.work.arguments else 0

    def cancel(self) -> None:
        self.cancelled = True


class Engine:
    """Keeps what is submitted, in batches."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.batches: list[int] = []

    def batch(self) -> "Engine":
        return self

    def __enter__(self) -> None:
        self.batches.append(len(self.jobs))

    def __exit__(self, *_: object) -> None:
        self.batches[-1] = len(self.jobs) - self.batches[-1]

    def submit(self, work: CellJob) -> Job:
        self.jobs.append(Job(work, len(self.jobs)))
        return self.jobs[-1]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine()
    monkeypatch.setattr(cluster, "_executor", lambda *_: found)
    monkeypatch.setattr(cluster, "time", SimpleNamespace(sleep=lambda _: None))
    return found


def submit(folder: Path, where: str, jobs: int) -> None:
    again = ["x.yml", "--threads", "1"]
    group = cells(folder, "a", "b", "c")
    cluster.run(group, folder, where, [], again, logging.getLogger("test"), jobs)


def test_slurm_gets_all_cells_at_once_and_this_machine_some(tmp_path: Path, engine: Engine) -> None:
    submit(tmp_path, "slurm", 1)
    assert engine.batches == [3]
    assert [job.work.arguments for job in engine.jobs] == [
        ["--only", f"{name}/seed0", "x.yml", "--threads", "1"] for name in "abc"
    ]
    submit(tmp_path, "local", 2)
    assert engine.batches == [3, 2, 1]


def test_the_ends_of_jobs_are_said(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        submit(tmp_path, "slurm", 1)
    said = caplog.text
    assert "a/seed0: done; 2 cells left" in said
    assert "b/seed0: not done (exit code 1); see words" in said
    assert "c/seed0: job 2 failed, RuntimeError: the node is gone; see errors" in said


def test_a_request_to_stop_cancels_the_jobs(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    sleeps = SimpleNamespace(sleep=lambda _: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(cluster, "time", sleeps)
    with pytest.raises(Stopped):
        submit(tmp_path, "slurm", 1)
    assert all(job.cancelled for job in engine.jobs)


def test_a_job_whose_time_is_up_ends_its_cell_and_is_queued_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("submitit")
    lines = [
        "import signal, time",
        "signal.signal(signal.SIGTERM, lambda *_: exit(print('ended')))",
        "print('ready')",
        "time.sleep(100)",
    ]
    job = CellJob(["--only", "a"])
    job._process = subprocess.Popen(
        [sys.executable, "-u", "-c", "\n".join(lines)], stdout=subprocess.PIPE
    )
    assert job._process.stdout is not None
    assert job._process.stdout.readline() == b"ready\n"
    time.sleep(0.05)
    again: Any = job.checkpoint()
    assert job._process.stdout.read() == b"ended\n" and job._process.wait() == 0
    job._process.stdout.close()
    (delayed,) = (value for value in vars(again).values() if isinstance(value, CellJob))
    assert delayed.arguments == ["--only", "a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["a"], "--engine a: write NAME=VALUE"),
        (["nonsense=1"], "--on local: NameError: Parameter 'nonsense'"),
    ],
)
def test_a_wrong_option_of_the_engine_is_one_line(
    tmp_path: Path, options: list[str], said: str
) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(InputError) as caught:
        cluster.run([], tmp_path, "local", options, [], logging.getLogger("test"), 1)
    assert said in str(caught.value)


def test_a_missing_engine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r'pip install "reid-lfm\[slurm\]"'):
        cluster.run([], tmp_path, "slurm", [], [], logging.getLogger("test"), 1)


@pytest.mark.usefixtures("tiny_network")
def test_submitit_runs_a_cell_on_this_machine(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("submitit")
    out = tmp_path / "out"
    tiny = {
        "IMPORTS": [str(ROOT / "tests/tiny_network.py")],
        "MODEL.BACKBONE.NAME": "tiny_network",
        "DATASETS": {"ROOT_DIR": str(data), "SYNTHETIC": {"PRESET": "tiny"}},
        "SOLVER": {"IMS_PER_BATCH": 16, "MAX_EPOCHS": 1, "EVAL_PERIOD": -1},
        "DATALOADER.NUM_WORKERS": 0,
    }
    study = {"_BASE_": "synthetic_baseline.yml", "OUTPUT_DIR": str(out), "OVERRIDES": tiny,
             "VARIANTS": {"plain": {}}, "RUN": ["train"]}  # fmt: skip
    path = tmp_path / "study.yml"
    path.write_text(yaml.safe_dump(study))
    text = run("ablate", path, "--on", "local", "--engine", "timeout_min=5").stdout
    assert "plain/seed0: done; 0 cells left" in text and "1 of 1 cells are done" in text
    assert (out / "plain/seed0/last.pth").exists()
