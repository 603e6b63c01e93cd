"""Attacks: how the loss is raised; a file dropped in here registers itself."""

from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["ATTACKS", "Attack", "Loss"]
