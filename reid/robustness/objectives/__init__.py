"""Objectives: the losses that attacks raise. Every module here is imported and registered.

An objective is a short formula, so objectives that need the same information are in one file:
``own_feature`` needs the model and the image, ``other_side`` and ``ranking`` the features of the
other side, ``classifier`` the classifier.
"""

from reid.robustness.objectives.base import Objective
from reid.robustness.objectives.registry import OBJECTIVES
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["OBJECTIVES", "Objective"]
