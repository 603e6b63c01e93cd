"""Decides whether the compiled loops are worth loading."""

from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from reid.evaluation.screening import WIDTH_FROM, WIDTH_TO, has_fast_integers

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


def compiled_screening(features: Tensor) -> ModuleType | None:
    """Returns :mod:`reid.evaluation.compiled_screening` if it finds neighbours faster, else None.

    Args:
        features: (N, D).
    """
    fits = features.dtype == torch.float32 and WIDTH_FROM <= features.shape[1] <= WIDTH_TO
    if features.device.type != "cpu" or not fits or not has_fast_integers():
        return None
    if len(features) ** 2 < COMPILED_FROM:
        return None
    try:
        return import_module("reid.evaluation.compiled_screening")
    except ImportError:
        return None
