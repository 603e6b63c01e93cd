"""Walls and grounds of the places that only a test has; see ``test_cameras`` of a Style."""

from collections.abc import Callable

import numpy as np

from reid.synthetic.raster import Floats

Surface = Callable[[Floats, Floats, Floats], Floats]


def plaster(x: Floats, y: Floats, clouds: Floats) -> Floats:
    """Draws a yellowish wall with windows, (H, W, 3).

    Args:
        x: (H, W) columns, pixels.
        y: (H, W) rows, pixels.
        clouds: (H, W) smooth noise of unit scale.
    """
    window = (x % 130 > 88) & (y % 74 > 30)
    color = np.array((0.70, 0.62, 0.44)) * (1 + 0.05 * clouds[..., None])
    return np.asarray(np.where(window[..., None], (0.24, 0.27, 0.31), color), np.float32)


def planks(x: Floats, y: Floats, clouds: Floats) -> Floats:
    """Draws upright boards, (H, W, 3).

    Args:
        x: (H, W) columns, pixels.
        y: (H, W) rows, pixels.
        clouds: (H, W) smooth noise of unit scale.
    """
    board = 0.85 + 0.15 * np.sin(7.1 * np.floor(x / 22))
    light = np.where((x % 22 < 2) | (np.abs(y - 24) < 2), 0.45, board) * (1 + 0.06 * clouds)
    return np.asarray(np.array((0.46, 0.34, 0.22)) * light[..., None], np.float32)


def shutters(x: Floats, y: Floats, clouds: Floats) -> Floats:
    """Draws rolled-down metal shutters, (H, W, 3).

    Args:
        x: (H, W) columns, pixels.
        y: (H, W) rows, pixels.
        clouds: (H, W) smooth noise of unit scale.
    """
    light = (0.85 + 0.15 * np.sin(y * 0.9)) * (1 + 0.06 * clouds)
    light = np.where(x % 190 < 14, 0.55, light)
    return np.asarray(np.array((0.40, 0.50, 0.56)) * light[..., None], np.float32)


def cobbles(across: Floats, away: Floats, grain: Floats) -> Floats:
    """Draws stones in rows, (H, W, 3).

    Args:
        across: (H, W) positions from left to right, in units of a slab.
        away: (H, W) distances from the camera.
        grain: (H, W) fine noise of unit scale.
    """
    row = away * 2.5
    column = across * 4 + 0.5 * (np.floor(row) % 2)
    joint = (row % 1 < 0.18) | (column % 1 < 0.14)
    light = np.where(joint, 0.55, 1.0) * (1 + 0.10 * grain)
    return np.asarray(np.array((0.44, 0.41, 0.40)) * light[..., None], np.float32)


def gravel(across: Floats, away: Floats, grain: Floats) -> Floats:
    """Draws sandy gravel with the wet marks of wheels, (H, W, 3).

    Args:
        across: (H, W) positions from left to right, in units of a slab.
        away: (H, W) distances from the camera.
        grain: (H, W) fine noise of unit scale.
    """
    wet = np.abs((across + 0.05 * away) % 3 - 1.5) < 0.2
    light = np.where(wet, 0.82, 1.0) * (1 + 0.16 * grain)
    return np.asarray(np.array((0.64, 0.56, 0.43)) * light[..., None], np.float32)


OTHER_WALLS: dict[str, Surface] = {"plaster": plaster, "planks": planks, "shutters": shutters}
OTHER_GROUNDS: dict[str, Surface] = {"cobbles": cobbles, "gravel": gravel}
