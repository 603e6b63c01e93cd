"""A process that dies by SIGKILL at a chosen step to the disk, and what it leaves."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

STEPS = ("replace", "rename", "fsync", "unlink")


def killed(work: Callable[[], object], step: int) -> bool:
    """Runs ``work`` in a forked process, and kills it before its ``step``-th step to the disk.

    Args:
        work: What runs.
        step: From 1 on; it counts renames, removals of files, and calls that flush to the disk.

    Returns:
        False if ``work`` was done before; then all steps have been tried.
    """
    child = os.fork()
    if not child:
        _run(work, step)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _run(work: Callable[[], object], step: int) -> None:
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **more)

        return call

    try:
        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the process ends with it
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)
