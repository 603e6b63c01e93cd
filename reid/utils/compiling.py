"""Compiling loops by numba; import it only where there is enough work to pay for loading it."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles on the first call and keeps the machine code for the next process."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home folder can be written to
        return njit(**options)(function)
