"""Turns a person in a pose into strips: legs, clothes, arms and bag."""

from dataclasses import replace

import numpy as np

from reid.synthetic.figure import Builder, Point, Pose, View
from reid.synthetic.head import add_head
from reid.synthetic.people import Person
from reid.synthetic.raster import Floats, Strip, Texture, plain


def body_strips(person: Person, pose: Pose, view: View) -> list[Strip]:
    """Returns the strips of a person, farthest first.

    Args:
        person: Build and clothes.
        pose: Angles of the limbs.
        view: Position, scale and pitch of the body in the image.
    """
    build = Builder(person, pose, view)
    leg = person.legs * person.height
    feet = [_leg_points(person, pose, side) for side in (1, -1)]
    lowest = min(points[-1][1] for points in feet)
    hip = -lowest + 0.03
    for side, points in zip((1, -1), feet, strict=True):
        _add_leg(build, side, [(x, y + hip, z) for x, y, z in points])
    neck_up = hip + 0.315 * person.height
    neck = (0.0, neck_up, float(np.sin(pose.lean)) * 0.3 * person.height)
    _add_skirt(build, hip, leg)
    _add_torso(build, hip, neck)
    hands = [_add_arm(build, side, neck) for side in (1, -1)]
    add_head(build, neck)
    _add_bag(build, hip, neck, hands[0] if person.bag_side > 0 else hands[1])
    return sorted(build.strips, key=lambda strip: strip.depth)


def figure_height(person: Person) -> float:
    """Returns the height in metres that a person fills in an image, hat included."""
    return person.height * (person.legs + 0.315 + 0.175) + 0.05


def _leg_points(person: Person, pose: Pose, side: int) -> list[Point]:
    """Returns hip, knee and ankle, the hip at height 0."""
    swing = pose.phase + (0 if side > 0 else np.pi)
    thigh = pose.stride * np.sin(swing)
    shank = thigh - pose.stride * (0.25 + 1.1 * max(0.0, float(np.cos(swing))))
    half = person.legs * person.height * 0.48
    left = side * 0.085 * person.hips
    knee = (left, -half * np.cos(thigh), half * np.sin(thigh))
    ankle = (left, knee[1] - half * np.cos(shank), knee[2] + half * np.sin(shank))
    return [(left, 0.0, 0.0), knee, ankle]


def _add_leg(build: Builder, side: int, points: list[Point]) -> None:
    person = build.person
    hip, knee, ankle = points
    thick = 0.5 + 0.5 * person.girth
    loose = person.leg_width
    skin = plain(person.skin)
    cloth = person.lower
    shoe = plain(person.shoes)
    thigh = cloth if person.cut in ("trousers", "shorts") else skin
    # The trunk hides where a leg starts, and a skirt hides most of it, however far it is forward.
    under = -0.3 if "skirt" in person.cut or person.coat else -0.14
    shank = skin, (0.055 * thick, 0.056 * thick, 0.036)
    if person.cut == "trousers":
        shank = cloth, (0.066 * thick * loose, 0.060 * thick * loose, 0.052 * loose)
    build.limb(knee, ankle, shank[1], shank[0], under)
    build.limb(
        hip, knee, (0.092 * thick, 0.086 * thick, 0.066 * thick * loose), thigh, under + 0.01
    )
    toe = (ankle[0] + side * 0.02, ankle[1] - 0.04, ankle[2] + 0.12)
    heel = (ankle[0], ankle[1] - 0.03, ankle[2] - 0.03)
    build.limb(heel, toe, (0.042, 0.044, 0.032), shoe, under + 0.02)
    if person.boots and person.cut != "trousers":
        top = _between(ankle, knee, 0.55)
        build.limb(top, ankle, (0.062 * thick, 0.060 * thick, 0.050), shoe, under + 0.015)


def _between(a: Point, b: Point, fraction: float) -> Point:
    """Returns the point at ``fraction`` of the way from a to b."""
    left, up, front = (p + fraction * (q - p) for p, q in zip(a, b, strict=True))
    return left, up, front


def _add_skirt(build: Builder, hip: float, leg: float) -> None:
    """Adds a skirt or the part of a coat below the hips."""
    person = build.person
    drop = {"skirt": 0.5, "long_skirt": 0.85}.get(person.cut, 0.5 * person.coat)
    if not drop:
        return
    cloth = person.upper if person.coat else person.lower
    if person.coat and cloth.pattern not in ("open_front", "zip"):
        cloth = replace(cloth, pattern="plain")
    waist = 0.155 * person.hips * (0.5 + 0.5 * person.girth)
    hem = 0.19 + 0.04 * drop
    # The hem gives way to the stride, so that no leg steps out of it.
    deep = max(hem, 0.09 + drop * leg * float(np.sin(build.pose.stride)))
    widths = build.silhouette([waist, 1.15 * waist, hem], [0.75 * waist, 0.95 * waist, deep])
    build.add((0, hip + 0.1, 0), (0, hip - drop * leg, 0), widths, cloth, 0.05)


def _add_torso(build: Builder, hip: float, neck: Point) -> None:
    person = build.person
    thick = person.girth
    shoulder = _shoulder(person)
    wide = [0.05, 0.11, 0.92 * shoulder, shoulder, 0.98 * shoulder, 0.95 * shoulder,
            0.5 * shoulder + 0.08 * thick, 0.15 * thick, 0.14 * thick, 0.142 * thick,
            0.15 * thick * person.hips, 0.16 * thick * person.hips, 0.16 * thick * person.hips,
            0.13 * thick]  # fmt: skip
    deep = [0.05, 0.07, 0.09, 0.10, 0.11, 0.12 * thick, 0.12 * thick, 0.12 * thick, 0.12 * thick,
            0.12 * thick, 0.12 * thick, 0.12 * thick, 0.12 * thick, 0.09 * thick]  # fmt: skip
    texture = _with_straps(person) if person.bag == "backpack" else person.upper
    build.add(neck, (0, hip - 0.07, 0), build.silhouette(wide, deep), texture, 0.06)


def _shoulder(person: Person) -> float:
    """Returns half the width of the shoulders without the arms, metres."""
    return 0.172 * person.shoulders * (0.75 + 0.25 * person.girth)


def _with_straps(person: Person) -> Texture:
    """Returns the torso's texture with the straps of a backpack over the shoulders."""
    strap = person.bag_cloth.base

    def texture(t: Floats, angle: Floats) -> Floats:
        color = np.array(person.upper(t, angle))
        away = np.abs(angle)
        color[(away > 0.5) & (away < 0.8) & (t < 0.6)] = strap
        return color

    return texture


def _add_arm(build: Builder, side: int, neck: Point) -> Point:
    """Adds an arm and returns where its hand is."""
    person = build.person
    pose = build.pose
    thick = 0.5 + 0.5 * person.girth
    swing = 0.8 * pose.stride * np.sin(pose.phase + (np.pi if side > 0 else 0))
    bend = swing + pose.elbows[0 if side > 0 else 1]
    upper = 0.165 * person.height
    fore = 0.145 * person.height
    left = side * (_shoulder(person) - 0.005)
    shoulder = (left, neck[1] - 0.108, 0.9 * neck[2])
    elbow = _swung(shoulder, upper, swing, side * 0.055)
    hand = _swung(elbow, fore, bend, -side * 0.02 * bend)
    palm = _swung(hand, 0.075, bend, 0.0)
    near = 0.09 if abs(build.sin) < 0.5 else 0.0
    skin = plain(person.skin)
    sleeve = person.sleeve_length
    build.limb(hand, palm, (0.026, 0.034, 0.026), skin, near + 0.005)
    build.limb(elbow, hand, (0.042 * thick, 0.038 * thick, 0.030), _sleeved(person, 1, sleeve),
               near + 0.01)  # fmt: skip
    build.limb(shoulder, elbow, (0.052 * thick, 0.049 * thick, 0.043 * thick),
               _sleeved(person, 0, sleeve), near + 0.02)  # fmt: skip
    return palm


def _swung(start: Point, length: float, angle: float, out: float) -> Point:
    """Returns the end of a bone that points down from ``start``, swung forward by ``angle``."""
    return (
        start[0] + out,
        start[1] - length * float(np.cos(angle)),
        start[2] + length * float(np.sin(angle)),
    )


def _sleeved(person: Person, half: int, length: float) -> Texture:
    """Returns the texture of the upper (0) or lower (1) half of an arm with this sleeve."""

    def texture(t: Floats, angle: Floats) -> Floats:
        covered = (0.5 * (half + t) < length)[:, None]
        return np.where(covered, person.sleeve(t, angle), person.skin)

    return texture


def _add_bag(build: Builder, hip: float, neck: Point, hand: Point) -> None:
    if build.person.bag == "backpack":
        _add_backpack(build, neck)
    elif build.person.bag == "shoulder":
        _add_shoulder_bag(build, hip, neck)
    elif build.person.bag == "hand":
        size = build.person.bag_size
        wide = [0.02, 0.04, 0.05 * size, 0.06 * size]
        deep = [0.02, 0.10, 0.14 * size, 0.15 * size]
        low = (hand[0], hand[1] - 0.28 * size, hand[2])
        build.add(hand, low, build.silhouette(wide, deep), build.person.bag_cloth, 0.05)


def _add_backpack(build: Builder, neck: Point) -> None:
    person = build.person
    size = build.person.bag_size
    wide = [0.10 * size, 0.14 * size, 0.145 * size, 0.15 * size, 0.14 * size]
    deep = [0.04 * size, 0.07 * size, 0.09 * size, 0.10 * size, 0.09 * size]
    back = neck[2] * 0.7 - 0.10 * person.girth - 0.06 * size
    top = neck[1] - 0.07
    bottom = (0.0, top - 0.42 * size, back)
    lift = 0.12 if build.cos < 0 else 0.0
    build.add((0, top, back), bottom, build.silhouette(wide, deep), person.bag_cloth, lift)


def _add_shoulder_bag(build: Builder, hip: float, neck: Point) -> None:
    person = build.person
    side = build.person.bag_side
    size = build.person.bag_size
    out = side * (0.165 * person.girth * person.hips + 0.05)
    low, high = hip - 0.08, hip - 0.08 + 0.24 * size
    widths = build.silhouette([0.05 * size, 0.06 * size], [0.14 * size, 0.16 * size])
    build.add((out, high, 0), (out, low, 0), widths, person.bag_cloth, 0.06)
    for front in (0.05, -0.05):  # the strap over the chest and the one over the back
        lift = 0.04 if front * build.cos > 0 else -0.04
        start, end = (-side * 0.09, neck[1] - 0.04, front), (out, high, front)
        build.limb(start, end, (0.017, 0.017), plain(person.bag_cloth.base), lift)
