"""Natural corruptions of images. Every module of this package is imported and registered.

A corruption is a function of images (B, 3, H, W) in [0, 1], a severity from 1 (least) to 5, and one
generator per image. It returns new images of the same shape, dtype and device in [0, 1], without
gradient. All random numbers of an image come from its own generator, so that the result does not
depend on the batch. Generators in the same state give the same numbers at every severity.
"""

from reid.robustness.corruptions.checks import SEVERITIES
from reid.robustness.corruptions.registry import CORRUPTIONS, Corruption
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption"]
