"""What happens to images without an attacker; a file dropped in here registers itself.

A corruption is a function of images (B, 3, H, W) in [0, 1], a severity from 1 (least) to 5, and one
generator per image. It returns new images of the same shape, dtype and device in [0, 1], without
gradient. All its draws for an image come from that image's generator, so that the result never
depends on the batch that the image is in; generators in the same state draw the same at every
severity.
"""

from reid.robustness.corruptions.checks import SEVERITIES
from reid.robustness.corruptions.registry import CORRUPTIONS, Corruption
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption"]
