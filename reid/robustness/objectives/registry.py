"""The table of attack objectives."""

from reid.robustness.objectives.base import Objective
from reid.robustness.section import ATTACK
from reid.utils.registry import Registry

FLAGS = ("flat_at_clean", "targeted", "redrawn", "knows_ranking")
OBJECTIVES: Registry[type[Objective]] = Registry(
    "attack objective",
    ATTACK,
    base=Objective,
    values={name: (True, False) for name in FLAGS},
)
