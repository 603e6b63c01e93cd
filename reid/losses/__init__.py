"""Losses and their weighted sum; a file dropped in here registers itself."""

from reid.losses.criterion import Criterion
from reid.losses.registry import LOSSES, Loss
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["LOSSES", "Criterion", "Loss"]
