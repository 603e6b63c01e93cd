"""Things that stand between the camera and the person."""

import itertools

import numpy as np

from reid.synthetic.raster import Floats, Strip, plain, profile
from reid.synthetic.scenes import COLS, ROWS


def occluder(rng: np.random.Generator) -> list[Strip]:
    """Draws a thing between camera and person: a pole, a box, a car's edge or a bicycle's wheel."""
    kind = rng.integers(4)
    gray = rng.uniform(0.15, 0.65)
    color = np.clip(gray + rng.normal(0, 0.06, 3), 0, 1)
    x = rng.uniform(0.05, 0.95) * COLS
    if kind == 0:
        half = rng.uniform(0.03, 0.09) * COLS
        return [Strip((x, -9), (x + rng.uniform(-6, 6), ROWS + 9), [half, half], plain(color))]
    if kind == 1:
        top = rng.uniform(0.62, 0.85) * ROWS
        half = rng.uniform(0.15, 0.4) * COLS
        lid = Strip((x, top - 8), (x, top + 4), [1.05 * half], plain(0.75 * color), flat=True)
        return [Strip((x, top), (x, ROWS + 9), [half], plain(color), flat=True), lid]
    if kind == 2:
        paint = plain(np.clip(gray + rng.normal(0, 0.15, 3), 0, 1))
        y = rng.uniform(0.78, 0.98) * ROWS
        half = rng.uniform(0.10, 0.16) * ROWS
        return [
            Strip(
                (-30, y + half / 2),
                (COLS + 30, y + half),
                half * profile(0.1, 0.6, 0.7, 1.0, 1.0, 0.7, 0.6, 0.3),
                paint,
            )
        ]
    return _bicycle(x, rng.uniform(0.80, 0.88) * ROWS, rng.uniform(0.2, 0.3) * COLS, color)


def _bicycle(x: float, y: float, radius: float, color: Floats) -> list[Strip]:
    """Builds two wheels and a frame from short thin strips."""
    strips = []
    angles = np.linspace(0, 2 * np.pi, 15)
    for center in (x - 1.2 * radius, x + 1.2 * radius):
        rim = [(center + radius * np.cos(a), y + radius * np.sin(a)) for a in angles.tolist()]
        strips += [
            Strip(a, b, [2.2, 2.2], plain((0.1, 0.1, 0.1))) for a, b in itertools.pairwise(rim)
        ]
    joints = [(x - 1.2 * radius, y), (x - 0.5 * radius, y - 1.5 * radius), (x, y),
              (x + 0.9 * radius, y - 1.5 * radius), (x + 1.2 * radius, y)]  # fmt: skip
    strips += [Strip(a, b, [2.5, 2.5], plain(color)) for a, b in itertools.pairwise(joints)]
    strips.append(Strip(joints[1], joints[3], [2.5, 2.5], plain(color)))
    return strips
