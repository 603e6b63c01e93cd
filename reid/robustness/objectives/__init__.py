"""What an attack seeks: a file each. f is the feature that is compared, x the clean image."""

from reid.robustness.objectives.registry import OBJECTIVES, Objective
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["OBJECTIVES", "Objective"]
