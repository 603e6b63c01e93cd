"""Backbones: feature extractors with named stages; a file dropped in here registers itself."""

from reid.modeling.backbones.registry import BACKBONES, PROVIDERS
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["BACKBONES", "PROVIDERS"]
