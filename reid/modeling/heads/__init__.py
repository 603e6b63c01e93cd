"""Heads: pooled feature in, embedding and logits out; a file dropped in here registers itself."""

from reid.modeling.heads.registry import HEADS
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["HEADS"]
