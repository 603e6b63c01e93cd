"""What a job of a cluster runs; it needs no torch, which its own process loads."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_PATIENCE = 60.0  # seconds that a cell has to end in after it was asked to


class CellJob:
    """A job that runs one cell by ``reid ablate``, which goes on where an earlier job stopped.

    Args:
        arguments: What is typed behind ``reid ablate``.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Runs the cell; returns the exit code."""
        self._process = subprocess.Popen([sys.executable, "-m", "reid", "ablate", *self.arguments])
        try:
            return self._process.wait()
        except BaseException:
            self._end()
            raise

    def checkpoint(self) -> Any:
        """Ends the cell where it loses nothing, and has it queued again.

        submitit calls it when the job's time is up, or when another job takes its place.
        """
        import submitit

        self._end()
        return submitit.helpers.DelayedSubmission(CellJob(self.arguments))

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)  # SIGINT may be ignored since a shell said so
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
