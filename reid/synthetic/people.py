"""The looks of an identity: build, skin, hair, clothes and bag."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from reid.synthetic.dyes import PALETTE, Dye, Dyes, pick, tinted
from reid.synthetic.raster import Floats
from reid.synthetic.textures import Cloth

_PATTERN = {
    "plain": 28, "open_front": 17, "logo": 12, "stripes": 9, "checks": 7, "two_tone": 7, "zip": 6,
    "chest_band": 5, "side_panels": 4, "back_print": 4, "dots": 3, "pinstripes": 3,
}  # fmt: skip
_LOWER_PATTERN = {"plain": 88, "side_panels": 8, "checks": 2, "stripes": 1, "dots": 1}
_SKIN = ((0.91, 0.75, 0.65), (0.82, 0.64, 0.51), (0.66, 0.48, 0.35), (0.45, 0.31, 0.23))
_HAIR = ((0.07, 0.06, 0.06), (0.17, 0.11, 0.08), (0.33, 0.22, 0.13), (0.63, 0.51, 0.32),
         (0.55, 0.55, 0.55))  # fmt: skip


class Person(NamedTuple):
    """All that stays the same in every image of one identity. Lengths in metres.

    Attributes:
        height: Height from the soles to the crown.
        girth: Thickness of body and limbs; 1 is average.
        shoulders: Factor of the shoulder width.
        hips: Factor of the hip width.
        legs: Length of the legs as a fraction of the height.
        skin: (3,) RGB.
        hair: (3,) RGB.
        hair_cut: bald, short, medium, long or tail.
        upper: Cloth of the torso.
        sleeve: Cloth of the sleeves.
        sleeve_length: 0 none, 0.5 to the elbow, 1 to the wrist.
        coat: Length of a coat below the hips, as a fraction of the thigh; 0 is no coat.
        lower: Cloth of the legs.
        cut: trousers, shorts, skirt or long_skirt.
        leg_width: Factor of the width of trousers.
        shoes: (3,) RGB.
        boots: Whether the shoes reach up the shank.
        hat: none, cap or beanie.
        hat_color: (3,) RGB.
        bag: none, backpack, shoulder or hand.
        bag_cloth: Cloth of the bag.
        bag_size: Factor of the bag's size.
        bag_side: 1 left, -1 right.
    """

    height: float
    girth: float
    shoulders: float
    hips: float
    legs: float
    skin: Floats
    hair: Floats
    hair_cut: str
    upper: Cloth
    sleeve: Cloth
    sleeve_length: float
    coat: float
    lower: Cloth
    cut: str
    leg_width: float
    shoes: Floats
    boots: bool
    hat: str
    hat_color: Floats
    bag: str
    bag_cloth: Cloth
    bag_size: float
    bag_side: int


def draw_person(rng: np.random.Generator, dyes: Dyes) -> Person:
    """Draws a person.

    Args:
        rng: Generator of the numbers.
        dyes: The colours that clothes come in.
    """
    upper = _cloth(rng, dyes.upper, _PATTERN)
    lower = _cloth(rng, dyes.lower, _LOWER_PATTERN)
    cut = pick(rng, {"trousers": 66, "shorts": 15, "skirt": 13, "long_skirt": 6})
    if "skirt" in cut and rng.random() < 0.4:  # a dress
        on_chest = upper.pattern in ("logo", "zip", "chest_band", "back_print")
        lower = replace(upper, pattern="plain") if on_chest else upper
    coat = 0.35 + 0.5 * rng.random() if rng.random() < 0.16 and cut == "trousers" else 0.0
    return Person(
        height=rng.normal(1.70, 0.09),
        girth=float(np.clip(rng.normal(1.0, 0.16), 0.75, 1.45)),
        shoulders=rng.uniform(0.88, 1.14),
        hips=rng.uniform(0.86, 1.18),
        legs=rng.uniform(0.45, 0.51),
        skin=tinted(rng, _SKIN[rng.choice(4, p=(0.36, 0.36, 0.16, 0.12))]),
        hair=tinted(rng, _HAIR[rng.choice(5, p=(0.46, 0.26, 0.14, 0.08, 0.06))]),
        hair_cut=pick(rng, {"bald": 5, "short": 45, "medium": 18, "long": 20, "tail": 12}),
        upper=upper,
        sleeve=_sleeve(rng, upper),
        sleeve_length=1.0 if coat else (0.0, 0.45, 1.0)[rng.choice(3, p=(0.08, 0.42, 0.50))],
        coat=coat,
        lower=lower,
        cut=cut,
        leg_width=rng.uniform(0.85, 1.35),
        shoes=dyes.shoes(rng),
        boots=bool(rng.random() < 0.14),
        hat=pick(rng, {"none": 80, "cap": 12, "beanie": 8}),
        hat_color=dyes.upper(rng),
        bag=pick(rng, {"none": 44, "backpack": 26, "shoulder": 19, "hand": 11}),
        bag_cloth=_cloth(rng, dyes.bag, {"plain": 60, "two_tone": 25, "chest_band": 15}),
        bag_size=rng.uniform(0.8, 1.25),
        bag_side=int(rng.choice((-1, 1))),
    )


def _sleeve(rng: np.random.Generator, upper: Cloth) -> Cloth:
    """Draws the sleeves that go with a torso: mostly its ground, at times its second colour."""
    if upper.pattern in ("stripes", "checks", "dots", "pinstripes"):
        return upper
    plain = replace(upper, pattern="plain")
    if upper.pattern != "open_front" and rng.random() < 0.18:
        return replace(plain, base=upper.second)
    return plain


def _cloth(rng: np.random.Generator, dye: Dye, patterns: dict[str, int]) -> Cloth:
    """Draws a cloth of two different colours, far enough apart to see the pattern."""
    base = dye(rng)
    second = dye(rng)
    while np.abs(base - second).sum() < 0.6:
        second = tinted(rng, list(PALETTE.values())[rng.integers(len(PALETTE))])
    pattern = pick(rng, patterns)
    return Cloth(pattern, base, second, rng.random(), rng.uniform(0, 6.28))
