"""The real commands: in this process, or in one of their own where a process is what is tested."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from reid.cli.main import main
from reid.jobs.ablation.plan import Step

ROOT = Path(__file__).parents[1]
TINY = [
    "DATASETS.SYNTHETIC.PRESET", "tiny",
    "MODEL.BACKBONE.NAME", "resnet18",
    "INPUT.SIZE_TRAIN", "(64,32)",
    "INPUT.SIZE_TEST", "(64,32)",
    "SOLVER.PRECISION", "fp32",
    "SOLVER.SCHEDULE", "multistep",
    "SOLVER.IMS_PER_BATCH", "16",
    "SOLVER.EVAL_PERIOD", "2",
    "SOLVER.LOG_PERIOD", "1",
    "DATALOADER.NUM_WORKERS", "0",
]  # fmt: skip

# For processes of their own: the narrow network, and a point where they wait for a signal.
NARROW = ["IMPORTS", str(ROOT / "tests/narrowed.py")]
HELD = ["IMPORTS", f"[{ROOT}/tests/narrowed.py, {ROOT}/tests/held.py]"]


class Done(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


def command(tool: str, *args: object) -> list[str]:
    """The command line of ``tools/<tool>.py``."""
    return [sys.executable, str(ROOT / "tools" / f"{tool.removesuffix('.py')}.py"), *map(str, args)]


def spawn(tool: str, *args: object, code: int = 0, **more: object) -> Done:
    """Runs a tool as a user does, in a process of its own: its imports take seconds."""
    done = subprocess.run(
        command(tool, *args), capture_output=True, text=True, timeout=300, check=False, **more
    )
    assert done.returncode == code, done.stdout + done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def stop(tool: str, *args: object, at: str, signum: int, mark: Path) -> Done:
    """Sends a signal to a tool and its children when it is at a point, and waits for its end.

    Args:
        tool: The tool, in a process and a session of its own, with a narrow network.
        args: Its arguments.
        at: The point, as tests/held.py takes it.
        signum: The signal; all processes of the tool get it, as from a terminal or a cluster.
        mark: A file that tells the two processes of each other.
    """
    environment = {**os.environ, "HOLD_AT": at, "HOLD_FILE": str(mark)}
    log = mark.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen(
            command(tool, *args, *HELD),
            stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 300
    while not mark.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"it never came to {at}\n{log.read_text()}"
        time.sleep(0.01)
    os.killpg(process.pid, signum)
    mark.unlink()
    code = process.wait(timeout=100)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no child is left
    return Done(code, log.read_text(), "")


def run(tool: str, *args: object, code: int = 0) -> Done:
    """Runs the same code in this process; a bug raises here, with its own traceback."""
    out, err, found = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([tool, *map(str, args)])
        except SystemExit as stop:
            found = int(stop.code or 0)
    assert found == code, out.getvalue() + err.getvalue()
    return Done(found, out.getvalue(), err.getvalue())


class InThisProcess:
    """A step of a study's cell without a process of its own, where no process is what is tested."""

    def __init__(self, step: Step, log: Path, *_: object) -> None:
        self.interrupt = self.kill = lambda: None
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                main([step.name, *step.arguments])
                self.code = 0
            except SystemExit as stop:
                self.code = int(stop.code or 0)
        log.write_text(out.getvalue())

    def poll(self) -> int:
        return self.code


def lfm(data: Path, out: Path, *more: object) -> list[object]:
    config = ROOT / "configs/synthetic_lfm.yml"
    return ["--config-file", config, *TINY, "DATASETS.ROOT_DIR", data, "OUTPUT_DIR", out, *more]


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def weights(out: Path, name: str = "last.pth") -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(out / name, weights_only=True)["model"]
    return state
