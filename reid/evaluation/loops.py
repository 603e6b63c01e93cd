"""When compiled loops are worth loading."""

from importlib import import_module
from types import ModuleType

COMPILED_FROM = 1 << 22  # distances; fewer take no longer without than loading the loops takes


def compiled_loops(size: int) -> ModuleType | None:
    """Returns :mod:`reid.evaluation.compiled` for work on ``size`` distances, or None.

    None also where numba is missing: it lags behind new versions of Python and numpy, and nothing
    but speed hangs on it.
    """
    if size < COMPILED_FROM:
        return None
    try:
        return import_module("reid.evaluation.compiled")
    except ImportError:
        return None
