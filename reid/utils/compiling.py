"""Compiling loops by numba; import it only where there is enough work to pay for loading it."""

import sys
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import event

Function = Callable[..., Any]


def compiled(function: Function) -> Function:
    """Compiles on the first call and keeps the machine code for the next process."""
    return _compiled(function, {})


def compiled_sums(function: Function) -> Function:
    """The same for loops that add up: sums may be taken in another order, as wide registers do."""
    return _compiled(function, {"fastmath": {"reassoc", "contract"}})


def compiled_inside(function: Function) -> Function:
    """The same for a short function that is written into the loops that call it."""
    return _compiled(function, {"inline": "always"})


def _compiled(function: Function, options: dict[str, Any]) -> Function:
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home folder can be written to
        return njit(**options)(function)


class _Word(event.Listener):  # type: ignore[misc]
    """Tells whoever watches a terminal why nothing moves, once a process.

    numba has this event when it compiles, and not when it finds machine code of an earlier process.
    """

    said = False

    def on_start(self, event: event.Event) -> None:
        ours = event.data["dispatcher"].py_func.__module__.startswith("reid.")
        if ours and not self.said and sys.stderr.isatty():
            type(self).said = True
            sys.stderr.write("compiling loops, once on this machine: a few seconds\n")

    def on_end(self, event: event.Event) -> None:
        pass


event.register("numba:compile", _Word())
