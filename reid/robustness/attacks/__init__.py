"""Attacks: methods that raise a loss. Every module of this package is imported and registered."""

from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["ATTACKS", "Attack", "Loss"]
