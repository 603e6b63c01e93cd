"""Draws shaded strips: the only primitive that people and occluders are made of.

A strip follows an axis from ``a`` to ``b`` and is the picture of a round thing. The position across
the strip gives the angle around this axis, so that a texture knows where on the body it is.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
# (t (N,) from 0 at a to 1 at b, angle (N,) in [-pi, pi], 0 = front, pi/2 = left) -> (N, 3) RGB
Texture = Callable[[Floats, Floats], Floats]

Pixel = tuple[float, float]  # column, row

TABLE = 48


class Strip(NamedTuple):
    """One strip to be drawn.

    Attributes:
        a: (x, y) in pixels of the start of the axis, y down.
        b: (x, y) of its end.
        widths: Half-widths in pixels at equal steps from a to b.
        texture: Colour of each point.
        depth: Distance towards the viewer; the nearest strip is drawn last.
        yaw: Angle by which the thing's front is turned from the viewer, to the right.
        flat: Whether the thing is flat, so that it is not shaded across.
    """

    a: Pixel
    b: Pixel
    widths: Sequence[float] | Floats
    texture: Texture
    depth: float = 0.0
    yaw: float = 0.0
    flat: bool = False


def plain(color: Sequence[float] | Floats) -> Texture:
    """Returns the texture that is one colour everywhere, (3,) RGB in [0, 1]."""
    rgb = np.asarray(color, np.float32)
    return lambda t, angle: np.broadcast_to(rgb, (t.size, 3))


def profile(*widths: float) -> Floats:
    """Returns half-widths (TABLE,) interpolated between the given ones at equal steps."""
    at = np.interp(np.linspace(0, 1, TABLE), np.linspace(0, 1, len(widths)), widths)
    return np.asarray(at, np.float32)


def capsule(a: Pixel, b: Pixel, *radii: float) -> tuple[Pixel, Pixel, Floats]:
    """Returns the axis, (N, 2), and the half-widths, (N,), of a limb that ends in half-discs.

    Two limbs that meet in a joint with the same radius then join without a gap.

    Args:
        a: (2,) column and row of the begin of the limb, pixels.
        b: (2,) column and row of its end.
        radii: Half-widths in pixels, at equal steps from a to b.
    """
    (ax, ay), (bx, by) = a, b
    length = max(float(np.hypot(bx - ax, by - ay)), 1e-3)
    ux, uy = (bx - ax) / length, (by - ay) / length
    first, last = radii[0], radii[-1]
    at = np.linspace(-first, length + last, TABLE)
    body = np.interp(at, np.linspace(0, length, len(radii)), radii)
    widths = np.where(at < 0, np.sqrt(np.clip(first**2 - at**2, 0, None)), body)
    beyond = np.sqrt(np.clip(last**2 - (at - length) ** 2, 0, None))
    widths = np.where(at > length, beyond, widths)
    start, end = (ax - first * ux, ay - first * uy), (bx + last * ux, by + last * uy)
    return start, end, np.asarray(widths, np.float32)


def ellipse(width: float) -> Floats:
    """Returns the half-widths, (TABLE,), of an ellipse whose largest one is ``width``."""
    s = np.linspace(-1, 1, TABLE)
    return np.asarray(width * np.sqrt(1 - s * s), np.float32)


def paint(canvas: Floats, strip: Strip, light: tuple[float, float]) -> None:
    """Draws the strip onto ``canvas`` (H, W, 3), in place.

    Args:
        canvas: RGB in [0, 1].
        strip: The strip to draw.
        light: Strength of the light from the right (negative: from the left) and from the viewer.
    """
    (ax, ay), (bx, by) = strip.a, strip.b
    length = max(float(np.hypot(bx - ax, by - ay)), 1e-3)
    ux, uy = (bx - ax) / length, (by - ay) / length
    table = np.asarray(strip.widths, np.float32)
    margin = float(table.max())
    rows, cols = canvas.shape[:2]
    x0, x1 = max(int(min(ax, bx) - margin), 0), min(int(max(ax, bx) + margin) + 2, cols)
    y0, y1 = max(int(min(ay, by) - margin), 0), min(int(max(ay, by) + margin) + 2, rows)
    if x0 >= x1 or y0 >= y1:
        return
    dx = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5 - ax)
    dy = (np.arange(y0, y1, dtype=np.float32) + np.float32(0.5 - ay))[:, None]
    along = (dx * np.float32(ux) + dy * np.float32(uy)) / np.float32(length)
    across = dx * np.float32(uy) - dy * np.float32(ux)
    step = np.clip((along * (len(table) - 1) + 0.5).astype(np.int32), 0, len(table) - 1)
    width = table[step]
    inside = (along >= 0) & (along <= 1) & (np.abs(across) < width)
    t, v = along[inside], (across[inside] / width[inside])
    angle = np.arcsin(v) - np.float32(strip.yaw)
    angle = (angle + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi)
    color = strip.texture(t, angle)
    if not strip.flat:
        side, front = light
        color = color * (1 - front + front * np.sqrt(1 - v * v) + side * v)[:, None]
    canvas[y0:y1, x0:x1][inside] = color
