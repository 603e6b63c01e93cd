"""Cells of a study in the process of the tests."""

import contextlib
import io
from pathlib import Path

from reid.cli.main import main
from reid.jobs.ablation.plan import Step


class InThisProcess:
    """A step of a cell without a process of its own, where no process is what is tested."""

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
