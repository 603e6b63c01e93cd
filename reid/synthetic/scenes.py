"""What a camera sees when nobody is there.

All pictures are drawn at SUPER times the final size and averaged down at the end.
"""

import numpy as np
from PIL import Image

from reid.synthetic.cameras import Camera
from reid.synthetic.raster import Floats
from reid.synthetic.surfaces import OTHER_GROUNDS, OTHER_WALLS

HEIGHT = 128
WIDTH = 64
SUPER = 2
ROWS = HEIGHT * SUPER
COLS = WIDTH * SUPER
SCENE_ROWS = ROWS + 64
SCENE_COLS = 6 * COLS


def draw_scene(rng: np.random.Generator, camera: Camera) -> Floats:
    """Draws all that a camera sees when nobody is there, (SCENE_ROWS, SCENE_COLS, 3) in [0, 1].

    Args:
        rng: Generator of the numbers.
        camera: Camera whose ground, wall and horizon are drawn.
    """
    scene = np.empty((SCENE_ROWS, SCENE_COLS, 3), np.float32)
    edge = int(camera.horizon * ROWS) + 32
    scene[:edge] = _wall(rng, camera.wall, edge)
    scene[edge:] = _ground(rng, camera.ground, SCENE_ROWS - edge)
    scene[edge - 3 : edge + 2] *= 0.7
    scene *= 1 + 0.10 * _clouds(rng, SCENE_ROWS, 48)[..., None]
    scene *= 1 + 0.04 * rng.standard_normal(scene.shape[:2], np.float32)[..., None]
    return np.clip(scene, 0, 1)


def _clouds(rng: np.random.Generator, rows: int, size: int) -> Floats:
    """Returns smooth noise (rows, SCENE_COLS) of unit scale with grains of ``size`` pixels."""
    shape = (SCENE_COLS // size + 2, rows // size + 2)
    coarse = Image.fromarray(rng.standard_normal(shape[::-1], np.float32))
    return np.asarray(coarse.resize((SCENE_COLS, rows), Image.Resampling.BICUBIC), np.float32)


def _wall(rng: np.random.Generator, kind: str, rows: int) -> Floats:
    """Draws what stands behind the ground, (rows, SCENE_COLS, 3)."""
    y, x = np.mgrid[0:rows, 0:SCENE_COLS].astype(np.float32)
    if kind in OTHER_WALLS:
        return OTHER_WALLS[kind](x, y, _clouds(rng, rows, 20))
    if kind == "bricks":
        joint = (y % 12 < 2) | ((x + 14 * (y // 12 % 2)) % 28 < 2)
        color = np.where(joint[..., None], (0.60, 0.57, 0.54), (0.48, 0.36, 0.31))
    elif kind == "concrete":
        joint = (x % 170 < 3) | (np.abs(y - rows * 0.4) < 2)
        color = np.where(joint[..., None], (0.42, 0.42, 0.42), (0.57, 0.57, 0.55))
    elif kind == "shops":
        pane = (x % 150 > 18) & (y < rows - 26)
        goods = rng.random((1, SCENE_COLS // 30 + 1, 3)).repeat(30, 1)[:, :SCENE_COLS]
        glow = (
            0.22
            + 0.25
            * (0.35 * goods + 0.65 * goods.mean(2, keepdims=True))
            * (0.5 + 0.5 * np.sin(y / 23))[..., None]
        )
        color = np.where(pane[..., None], glow, (0.58, 0.55, 0.50))
    elif kind == "hedge":
        leaves = _clouds(rng, rows, 6) + _clouds(rng, rows, 16)
        color = np.array((0.27, 0.35, 0.22)) * (1 + 0.22 * leaves[..., None])
    else:
        bar = (x % 16 < 3) | (np.abs(y - rows * 0.5) < 3)
        behind = np.array((0.50, 0.53, 0.48)) * (1 + 0.15 * _clouds(rng, rows, 24)[..., None])
        color = np.where(bar[..., None], (0.22, 0.24, 0.26), behind)
    return np.asarray(color, np.float32)


def _ground(rng: np.random.Generator, kind: str, rows: int) -> Floats:
    """Draws the ground in perspective, (rows, SCENE_COLS, 3)."""
    y, x = np.mgrid[0:rows, 0:SCENE_COLS].astype(np.float32)
    far = 1 / (y + 60)  # distance from the camera grows towards the horizon
    across, away = (x - SCENE_COLS / 2) * far, 900 * far
    grain = _clouds(rng, rows, 5)[..., None]
    if kind in OTHER_GROUNDS:
        return OTHER_GROUNDS[kind](across, away, grain[..., 0])
    if kind == "grass":
        color = np.array((0.40, 0.45, 0.31)) * (1 + 0.12 * grain)
    elif kind == "asphalt":
        line = (np.abs((across + 0.3 * away) % 4 - 2) < 0.06)[..., None]
        color = np.where(line, 0.80, np.array((0.42, 0.42, 0.43)) * (1 + 0.07 * grain))
    elif kind == "tiles":
        odd = ((np.floor(across * 2.2) + np.floor(away)) % 2)[..., None]
        color = np.array((0.58, 0.53, 0.47)) * (0.86 + 0.16 * odd + 0.03 * grain)
    else:
        joint = ((across * 1.8 % 1 < 0.05) | (away % 1.5 < 0.08))[..., None]
        color = np.array((0.58, 0.57, 0.55)) * (1 - 0.3 * joint + 0.05 * grain)
    return np.asarray(color, np.float32)
