"""Regularizers: what disturbs a map in training; a file dropped in here registers itself."""

from reid.modeling.regularizers.base import Regularizer
from reid.modeling.regularizers.registry import REGULARIZERS
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["REGULARIZERS", "Regularizer"]
