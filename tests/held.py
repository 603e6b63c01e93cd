"""Named by IMPORTS, it holds a process of its own at a known point, where a signal then meets it.

``HOLD_AT`` names a method and which of its calls, such as ``reid.engine.trainer:Trainer.update:3``.
In that call the process makes the file ``HOLD_FILE``, and goes on when the file is gone. Without
the two variables nothing is held.
"""

import importlib
import os
import signal
import time
from itertools import count
from pathlib import Path
from typing import Any


def hold(point: str, file: Path) -> None:
    """Replaces the method of ``point`` by one that waits in one of its calls."""
    module, names, number = point.split(":")
    kind, name = names.split(".")
    owner = getattr(importlib.import_module(module), kind)
    method, calls = getattr(owner, name), count(1)

    def held(*args: Any, **more: Any) -> Any:
        if next(calls) == int(number):
            file.touch()
            while file.exists():
                time.sleep(0.01)
        return method(*args, **more)

    setattr(owner, name, held)


if "HOLD_AT" in os.environ:
    # A shell has what it starts in the background ignore SIGINT, and so has pytest its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hold(os.environ["HOLD_AT"], Path(os.environ["HOLD_FILE"]))
