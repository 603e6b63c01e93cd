"""Decides whether the compiled loops are worth loading."""

from importlib import import_module
from types import ModuleType

# Number of distances. For fewer, loading the compiled loops takes longer than they save.
COMPILED_FROM = 1 << 22


def compiled_loops(size: int) -> ModuleType | None:
    """Returns :mod:`reid.evaluation.compiled` if ``size`` distances are enough for it, else None.

    It is None too if numba is not installed: numba supports new versions of Python and numpy late.
    The results are the same without it; only the speed differs.
    """
    if size < COMPILED_FROM:
        return None
    try:
        return import_module("reid.evaluation.compiled")
    except ImportError:
        return None
