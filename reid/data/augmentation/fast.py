"""The compiled loops, if numba is installed."""

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def compiled_loops() -> ModuleType | None:
    """Returns :mod:`reid.data.augmentation._compiled`, or None where numba is missing."""
    try:
        return import_module("reid.data.augmentation._compiled")
    except ImportError:
        return None
