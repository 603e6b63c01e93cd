"""The table of attack objectives."""

from reid.robustness.objectives.base import Objective
from reid.robustness.section import ATTACK
from reid.utils.registry import Registry

OBJECTIVES: Registry[type[Objective]] = Registry(
    "attack objective",
    ATTACK,
    base=Objective,
    values={name: (True, False) for name in ("flat_at_clean", "targeted", "redrawn")},
)
