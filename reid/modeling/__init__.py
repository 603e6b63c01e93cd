"""The network: backbone, regularizers by stage, head."""

from reid.modeling.backbones import BACKBONES, PROVIDERS
from reid.modeling.heads import HEADS
from reid.modeling.model import ReIDModel
from reid.modeling.output import ReIDOutput
from reid.modeling.pooling import POOLINGS
from reid.modeling.regularizers import REGULARIZERS
from reid.modeling.regularizers.lfm import LocalFeatureMasking

__all__ = [
    "BACKBONES",
    "HEADS",
    "POOLINGS",
    "PROVIDERS",
    "REGULARIZERS",
    "LocalFeatureMasking",
    "ReIDModel",
    "ReIDOutput",
]
