"""How an attack seeks: a file each."""

from reid.robustness.optimizers.registry import OPTIMIZERS, Loss, Optimizer
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["OPTIMIZERS", "Loss", "Optimizer"]
