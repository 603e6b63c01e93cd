"""Augmentations: what training does to pixels; a file dropped in here registers itself."""

from reid.data.augmentation.base import Augmentation, Row
from reid.data.augmentation.pipeline import Rows, TestTransform, TrainTransform
from reid.data.augmentation.registry import AUGMENTATIONS
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["AUGMENTATIONS", "Augmentation", "Row", "Rows", "TestTransform", "TrainTransform"]
