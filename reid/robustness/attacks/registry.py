"""The table of attacks."""

from reid.robustness.attacks.base import Attack
from reid.robustness.section import ATTACK
from reid.utils.registry import Registry

ATTACKS: Registry[type[Attack]] = Registry(
    "attack",
    ATTACK,
    base=Attack,
    facts=("eps",),
    built={"ball": "where the images may be, from reid.robustness.ball.make_ball"},
)
