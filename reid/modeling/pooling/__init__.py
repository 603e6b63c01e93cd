"""Poolings: a feature map to one vector; a file dropped in here registers itself."""

from reid.modeling.pooling.registry import POOLINGS
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["POOLINGS"]
