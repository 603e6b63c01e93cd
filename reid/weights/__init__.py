"""Weights in other people's files: read, recognised, and named as here.

A file dropped in here is a family of files; it registers itself.
"""

from reid.utils.registry import import_submodules
from reid.weights.family import FAMILIES, Conversion, Family, Found, Options, converted, recognized

import_submodules(__name__)

__all__ = ["FAMILIES", "Conversion", "Family", "Found", "Options", "converted", "recognized"]
