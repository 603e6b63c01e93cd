"""Head, hair and hat."""

import numpy as np

from reid.synthetic.figure import Builder, Point
from reid.synthetic.people import Person
from reid.synthetic.raster import Floats, Texture, ellipse, plain


def add_head(build: Builder, neck: Point) -> None:
    """Adds neck, head and hair to a figure whose neck starts at ``neck``.

    Args:
        build: Builder that gets the strips.
        neck: (3,) metres, the point where the neck starts.
    """
    person = build.person
    size = 0.068 * person.height
    center = (0.0, neck[1] + 1.2 * size, neck[2] + 0.03)
    top, chin = (0.0, center[1] + size, center[2]), (0.0, center[1] - size, center[2] + 0.01)
    build.limb((0, neck[1] + 0.05, neck[2]), (0, neck[1] - 0.01, neck[2]), (0.046, 0.05),
               plain(person.skin * np.float32(0.85)), 0.065)  # fmt: skip
    build.add(top, chin, build.silhouette(*_head_shape(size)), _face(person), 0.12)
    drop = {"medium": 0.13, "long": 0.32, "tail": 0.30}.get(person.hair_cut, 0.0)
    if drop:
        back = center[2] - 0.06
        width = 0.32 * size if person.hair_cut == "tail" else 0.80 * size
        start = (0.0, center[1] + 0.35 * size, back)
        radii = (0.8 * width, width, width, 0.6 * width)
        lift = 0.14 if build.cos < 0.3 else 0.0
        build.limb(start, (0.0, center[1] - drop, back - 0.03), radii, _locks(person), lift)


def _head_shape(size: float) -> tuple[list[float], list[float]]:
    """Returns the half-widths of a head from the front and from the side."""
    oval = ellipse(size).tolist()
    return [0.76 * w for w in oval], [0.88 * w for w in oval]


def _locks(person: Person) -> Texture:
    """Returns the texture of long hair: strands a little lighter and darker."""

    def texture(t: Floats, angle: Floats) -> Floats:
        return np.asarray(person.hair * (1 + 0.15 * np.sin(9 * angle + 2 * t))[:, None])

    return texture


def _face(person: Person) -> Texture:
    """Returns the texture of a head: face, hair, and a hat if there is one."""
    cover = {"bald": -1.0, "short": 0.30, "medium": 0.55, "long": 0.62, "tail": 0.36}[
        person.hair_cut
    ]

    def texture(t: Floats, angle: Floats) -> Floats:
        away = np.abs(angle)
        hairline = np.interp(
            away,
            (0, 0.8, 1.1, 1.9, 2.3),
            (0.20, 0.24, 0.3, 0.3, 0.45) + cover * np.array((0, 0.1, 0.7, 1, 1)),
        )
        hair = (t < hairline) & (cover > 0)
        color = np.where(hair[:, None], person.hair, person.skin).astype(np.float32)
        color[(np.abs(t - 0.48) < 0.035) & (away > 0.2) & (away < 0.7)] *= np.float32(0.55)
        color[(np.abs(t - 0.76) < 0.025) & (away < 0.3)] *= np.float32(0.75)
        if person.hat != "none":
            brim = 0.36 if person.hat == "beanie" else np.where(away < 0.9, 0.42, 0.30)
            color[t < brim] = person.hat_color
        return color

    return texture
