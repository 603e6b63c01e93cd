"""What an attack raises; a file dropped in here registers itself.

An objective is a few lines of formula, so those that need the same knowledge share a file:
``own_feature`` needs the model and the image, ``other_side`` the features of the other side,
``classifier`` the classifier.
"""

from reid.robustness.objectives.base import Objective
from reid.robustness.objectives.registry import OBJECTIVES
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["OBJECTIVES", "Objective"]
