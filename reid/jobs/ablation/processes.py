"""A step of a cell as a process of its own, and the mark that keeps a cell from being run twice."""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from reid.jobs.ablation.plan import Cell, Step
from reid.utils.lock import FolderLock, TakenError
from reid.utils.logs import make_dir

_LOCK = ".cell.lock"
_ALIVE = ".cell.alive"
_TAIL = 65536  # bytes of a log that are looked at for its last line
# What torch and numpy ask for the number of their threads.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class CellLock:
    """A cell that this process alone runs.

    Two marks keep others away: that of :class:`reid.utils.lock.FolderLock`, which works on all
    machines, and a lock of the system on a file that every child inherits. So a child that outlives
    its study, which was killed, keeps the cell until it has ended.

    Args:
        cell: The cell.
    """

    def __init__(self, cell: Cell) -> None:
        self.folder = cell.folder
        self._mark: FolderLock | None = None
        self._file: int | None = None

    def acquire(self) -> bool:
        """Takes the cell; returns False if another process has it."""
        make_dir(self.folder)
        mark = FolderLock(self.folder, _LOCK)
        try:
            mark.acquire()
        except TakenError:
            return False
        self._mark = mark
        if not self._lock_file():
            self.release()
            return False
        return True

    def _lock_file(self) -> bool:
        try:
            fcntl = importlib.import_module("fcntl")
        except ImportError:  # Windows: a process that outlives its study is not waited for
            return True
        self._file = os.open(self.folder / _ALIVE, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without such locks
            return True
        return True

    @property
    def handles(self) -> tuple[int, ...]:
        """The handles that a child inherits."""
        return () if self._file is None else (self._file,)

    def release(self) -> None:
        """Gives the cell back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._mark is not None:
            self._mark.release()
            self._mark = None


class Process(Protocol):
    """A step that runs."""

    def poll(self) -> int | None:
        """Returns the exit code; None while it runs."""

    def interrupt(self) -> None:
        """Asks it to end where it loses nothing."""

    def kill(self) -> None:
        """Ends it at once."""


class StepProcess:
    """A command in a process and a session of its own: Ctrl-C reaches it only through the study.

    Args:
        step: The command.
        log: File that gets all that it prints.
        threads: Number of threads that it computes with.
        handles: Handles that it inherits.
        device: Number of the CUDA device that it sees; None is all.
    """

    def __init__(
        self,
        step: Step,
        log: Path,
        threads: int,
        handles: Sequence[int] = (),
        device: str | None = None,
    ) -> None:
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reid", step.name, *step.arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                pass_fds=tuple(handles),
            )

    def poll(self) -> int | None:
        """Returns the exit code; None while it runs."""
        return self._process.poll()

    def interrupt(self) -> None:
        """Sends SIGTERM to it and its children: a training saves, an attack keeps what is done.

        SIGINT would be lost on a process that has not set its handlers yet, if the study was
        started in the background: a shell has such programs ignore it.
        """
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL to it and its children, and waits for the end."""
        self._send(signal.SIGKILL)
        self._process.wait()

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def log_of(cell: Cell, step: Step) -> Path:
    """Returns the file that gets what a step prints.

    Args:
        cell: The cell.
        step: One of its steps.
    """
    return cell.folder / f"{step.name}.out"


def why_failed(code: int, log: Path) -> str:
    """Says in one line why a process failed: the last line of its error, or the signal.

    Args:
        code: Its exit code; negative if a signal ended it.
        log: What it printed.
    """
    if code < 0:
        name = signal.Signals(-code).name
        memory = " (was there too little memory?)" if name == "SIGKILL" else ""
        return f"ended by {name}{memory}"
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    spoken = [line.strip() for line in lines if line.strip()]
    return spoken[-1].removeprefix("error: ") if spoken else f"exit code {code}, and no word"


def cuda_devices() -> list[str]:
    """Returns the numbers of the CUDA devices that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [word for word in visible.split(",") if word.strip() not in ("", "-1")]
    import torch

    return [str(n) for n in range(torch.cuda.device_count())]


def usable_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
