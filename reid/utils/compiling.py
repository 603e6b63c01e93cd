"""Compiling loops by numba; import it only where there is enough work to pay for loading it."""

from collections.abc import Callable
from typing import Any

from numba import njit

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
