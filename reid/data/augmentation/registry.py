"""The table of augmentations."""

from reid.data.augmentation.base import Augmentation
from reid.utils.registry import Registry, Section

# The settings of an augmentation stand in INPUT itself, behind its name: INPUT.ERASING_PROB.
INPUT = Section(
    "INPUT",
    ("SIZE_TRAIN", "SIZE_TEST", "PIXEL_MEAN", "PIXEL_STD", "TRANSFORMS", "DEVICE"),
    flat=True,
)
AUGMENTATIONS: Registry[type[Augmentation]] = Registry(
    "augmentation",
    INPUT,
    base=Augmentation,
    attributes={"width": "set it to the number of values that draw() returns"},
    facts=("size",),
)
