"""When compiled loops are worth loading."""

from importlib import import_module
from types import ModuleType

# Distances. For fewer, loading the compiled loops takes longer than they save.
COMPILED_FROM = 1 << 22


def compiled_loops(size: int) -> ModuleType | None:
    """Returns :mod:`reid.evaluation.compiled` for work on ``size`` distances, or None.

    None also where numba is missing, which lags behind new versions of Python and numpy: results
    do not depend on it, only speed does.
    """
    if size < COMPILED_FROM:
        return None
    try:
        return import_module("reid.evaluation.compiled")
    except ImportError:
        return None
