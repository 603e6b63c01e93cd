"""Draws shaded strips: the only primitive that people and occluders are made of.

A strip follows an axis from ``a`` to ``b`` and is the picture of a round thing. The position across
the strip gives the angle around this axis, so that a texture knows where on the body it is.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
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
    return np.asarray(np.interp(_steps(TABLE), _steps(len(widths)), widths), np.float32)


@functools.cache
def _steps(count: int) -> Floats:
    """Returns equal steps from 0 to 1; np.linspace takes longer than what is done with them."""
    return np.linspace(0, 1, count)


def _between(first: float, last: float, count: int) -> Floats:
    """Returns np.linspace(first, last, count), to the bit."""
    steps = np.arange(count) * ((last - first) / (count - 1)) + first
    steps[-1] = last
    return steps


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
    at = _between(-first, length + last, TABLE)
    widths = np.interp(at, _between(0, length, len(radii)), radii)
    before, behind = at < 0, at > length
    widths[before] = np.sqrt(np.maximum(first**2 - at[before] ** 2, 0))
    widths[behind] = np.sqrt(np.maximum(last**2 - (at[behind] - length) ** 2, 0))
    start, end = (ax - first * ux, ay - first * uy), (bx + last * ux, by + last * uy)
    return start, end, np.asarray(widths, np.float32)


def ellipse(width: float) -> Floats:
    """Returns the half-widths, (TABLE,), of an ellipse whose largest one is ``width``."""
    s = np.linspace(-1, 1, TABLE)
    return np.asarray(width * np.sqrt(1 - s * s), np.float32)


def paint(canvas: Floats, strips: Sequence[Strip], light: tuple[float, float]) -> None:
    """Draws strips onto ``canvas`` (H, W, 3), in place, each over those before it.

    The last one is drawn first, and the others only where nothing is in front of them.

    Args:
        canvas: RGB in [0, 1].
        strips: The strips, farthest first.
        light: Strength of the light from the right (negative: from the left) and from the viewer.
    """
    free = np.ones(canvas.shape[:2], bool)
    for strip in reversed(strips):
        _paint(canvas, strip, light, free)


def _paint(canvas: Floats, strip: Strip, light: tuple[float, float], free: Bools) -> None:
    """Draws a strip where ``free`` (H, W) is true, and makes it false there."""
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
    near = free[y0:y1, x0:x1] & (along >= 0) & (along <= 1) & (np.abs(across) < margin)
    place = np.flatnonzero(near)  # with masks instead of places a whole image takes a fifth longer
    t, v = along.ravel()[place], across.ravel()[place]
    width = table[(t * (len(table) - 1) + 0.5).astype(np.int32)]
    inside = np.abs(v) < width
    place, t, v = place[inside], t[inside], v[inside] / width[inside]
    color = strip.texture(t, _wrapped(np.arcsin(v) - np.float32(strip.yaw)))
    if not strip.flat:
        side, front = light
        color = color * (1 - front + front * np.sqrt(1 - v * v) + side * v)[:, None]
    row, column = np.divmod(place, x1 - x0)
    canvas[y0:y1, x0:x1][row, column] = color
    free[y0:y1, x0:x1][row, column] = False


def _wrapped(angle: Floats) -> Floats:
    """Returns float32 angles in [-pi, pi); for those less than a turn away without a division."""
    turn = np.float32(2 * np.pi)
    angle = angle + np.float32(np.pi)
    if angle.size and -turn < angle.min() and angle.max() < 2 * turn:
        angle = np.where(angle < 0, angle + turn, np.where(angle >= turn, angle - turn, angle))
    else:
        angle = angle % turn
    return angle - np.float32(np.pi)
