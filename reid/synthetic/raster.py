"""Draws shaded strips: the only primitive that people and occluders are made of.

A strip follows an axis from ``a`` to ``b`` and is the picture of a round thing. The position across
the strip gives the angle around this axis, so that a texture knows where on the body it is.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
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


@functools.cache
def _numbers(count: int) -> Floats:
    """Returns the whole numbers below ``count``, float64."""
    return np.arange(count, dtype=np.float64)


def _between(first: float, last: float, count: int) -> Floats:
    """Returns np.linspace(first, last, count), to the bit."""
    steps = _numbers(count) * ((last - first) / (count - 1))
    steps += first
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
    # ``at`` ascends, so both ends are slices.
    begin, end = int(at.searchsorted(0)), int(at.searchsorted(length, "right"))
    before, behind = at[:begin], at[end:] - length
    widths[:begin] = np.sqrt(np.maximum(first**2 - before * before, 0))
    widths[end:] = np.sqrt(np.maximum(last**2 - behind * behind, 0))
    start, stop = (ax - first * ux, ay - first * uy), (bx + last * ux, by + last * uy)
    return start, stop, widths.astype(np.float32)


def ellipse(width: float) -> Floats:
    """Returns the half-widths, (TABLE,), of an ellipse whose largest one is ``width``."""
    s = np.linspace(-1, 1, TABLE)
    return np.asarray(width * np.sqrt(1 - s * s), np.float32)


def paint(canvas: Floats, strips: Sequence[Strip], light: tuple[float, float]) -> None:
    """Draws strips onto ``canvas`` (H, W, 3), in place, each over those before it.

    All are drawn at once, since the calls of numpy take longer than the pixels of one strip.

    Args:
        canvas: RGB in [0, 1].
        strips: The strips, farthest first.
        light: Strength of the light from the right (negative: from the left) and from the viewer.
    """
    if not strips:
        return
    rows, cols = canvas.shape[:2]
    spots = _seen(_covered(_outlines(strips, rows, cols), cols), rows * cols)
    yaw = np.array([strip.yaw for strip in strips], np.float32)
    angle = _wrapped(np.arcsin(spots.v) - yaw[spots.strip])
    color = _colors(strips, spots, angle)
    side, front = light
    shade = 1 - front + front * np.sqrt(1 - spots.v * spots.v) + side * spots.v
    flat = np.array([strip.flat for strip in strips])
    shade[flat[spots.strip]] = 1
    color *= shade[:, None]
    canvas[np.divmod(spots.place, cols)] = color


class _Outlines(NamedTuple):
    """Where strips lie: the boxes of pixels that they may cover, and their axes.

    Attributes:
        first: (2, S) first column and row of each box.
        size: (2, S) columns and rows of each box.
        middle: (2, S) float32, what is added to a column and a row to have the middle of the pixel
            relative to a.
        direction: (2, S) float32, the unit vector from a to b.
        length: (S,) float32, from a to b.
        table: Half-widths of all strips, one after the other.
        begin: (S,) where those of a strip begin.
        last: (S,) float32, the index of the last one of a strip's half-widths.
    """

    first: Ints
    size: Ints
    middle: Floats
    direction: Floats
    length: Floats
    table: Floats
    begin: Ints
    last: Floats


class _Spots(NamedTuple):
    """Pixels that strips cover, (N,) each: strip by strip, farthest first.

    Attributes:
        place: Number of the pixel in the canvas, row by row.
        strip: Number of the strip.
        t: Position along the strip, from 0 at a to 1 at b.
        v: Position across it, from -1 to 1.
    """

    place: Ints
    strip: Ints
    t: Floats
    v: Floats


def _outlines(strips: Sequence[Strip], rows: int, cols: int) -> _Outlines:
    """Returns where strips lie on a canvas of (rows, cols) pixels."""
    a, b = np.array([(strip.a, strip.b) for strip in strips], np.float64).transpose(1, 2, 0)
    length = np.maximum(np.hypot(*(b - a)), 1e-3)
    tables = [np.asarray(strip.widths, np.float32) for strip in strips]
    table = np.concatenate(tables)
    sizes = np.array([len(one) for one in tables])
    begin = np.cumsum(sizes) - sizes
    margin = np.maximum.reduceat(table, begin)
    first = np.maximum((np.minimum(a, b) - margin).astype(np.int64), 0)
    behind = (np.maximum(a, b) + margin).astype(np.int64) + 2
    size = np.maximum(np.minimum(behind, ((cols,), (rows,))) - first, 0)
    return _Outlines(
        first=first,
        size=size,
        middle=(0.5 - a).astype(np.float32),
        direction=((b - a) / length).astype(np.float32),
        length=length.astype(np.float32),
        table=table,
        begin=begin,
        last=(sizes - 1).astype(np.float32),
    )


def _covered(outlines: _Outlines, cols: int) -> _Spots:
    """Returns the pixels of a canvas of ``cols`` columns that strips cover, also hidden ones."""
    along, across, place = _boxes(outlines, cols)
    area = outlines.size.prod(0)
    near = np.flatnonzero((along >= 0) & (along <= 1))
    strip = np.repeat(np.arange(len(area)), area)[near]
    t, v = along[near], across[near]
    entry = (t * outlines.last[strip] + np.float32(0.5)).astype(np.int64)
    width = outlines.table[entry + outlines.begin[strip]]
    inside = np.flatnonzero(np.abs(v) < width)
    return _Spots(place[near[inside]], strip[inside], t[inside], v[inside] / width[inside])


def _boxes(outlines: _Outlines, cols: int) -> tuple[Floats, Floats, Ints]:
    """Returns of the pixels of all boxes, (N,) each: along and across the axis, and the place."""
    x, along_x, across_x = _lines(outlines, 0)
    y, along_y, across_y = _lines(outlines, 1)
    y *= cols
    area = outlines.size.prod(0)
    total = int(area.sum())
    along, across = np.empty((2, total), np.float32)
    place = np.empty(total, np.int64)
    column, row, box = slice(0), slice(0), slice(0)
    for width, height in outlines.size.T.tolist():
        column = slice(column.stop, column.stop + width)
        row = slice(row.stop, row.stop + height)
        box = slice(box.stop, box.stop + width * height)
        shape = height, width
        np.add(along_x[column], along_y[row, None], out=along[box].reshape(shape))
        np.subtract(across_x[column], across_y[row, None], out=across[box].reshape(shape))
        np.add(x[column], y[row, None], out=place[box].reshape(shape))
    along /= np.repeat(outlines.length, area)
    return along, across, place


def _lines(outlines: _Outlines, axis: int) -> tuple[Ints, Floats, Floats]:
    """Returns the columns (axis 0) or rows (1) of all boxes, and what they add along and across."""
    size = outlines.size[axis]
    behind = np.cumsum(size)
    strip = np.repeat(np.arange(len(size)), size)
    number = np.arange(len(strip)) + (outlines.first[axis] - behind + size)[strip]
    away = number.astype(np.float32) + outlines.middle[axis][strip]
    along, across = outlines.direction[axis], outlines.direction[1 - axis]
    return number, away * along[strip], away * across[strip]


def _seen(spots: _Spots, pixels: int) -> _Spots:
    """Returns the pixels of the nearest strip at each place of a canvas of so many pixels."""
    nearest = np.zeros(pixels, np.int64)
    nearest[spots.place] = spots.strip  # of two values for one place the last one stays
    seen = np.flatnonzero(nearest[spots.place] == spots.strip)
    return _Spots(spots.place[seen], spots.strip[seen], spots.t[seen], spots.v[seen])


def _colors(strips: Sequence[Strip], spots: _Spots, angle: Floats) -> Floats:
    """Returns the colours without light, (N, 3)."""
    color = np.empty((len(angle), 3), np.float32)
    bounds = np.searchsorted(spots.strip, np.arange(len(strips) + 1)).tolist()
    for strip, (begin, end) in zip(strips, itertools.pairwise(bounds), strict=True):
        if begin < end:
            color[begin:end] = strip.texture(spots.t[begin:end], angle[begin:end])
    return color


def _wrapped(angle: Floats) -> Floats:
    """Returns float32 angles in [-pi, pi); for those less than a turn away without a division."""
    turn = np.float32(2 * np.pi)
    angle = angle + np.float32(np.pi)
    if angle.size and -turn < angle.min() and angle.max() < 2 * turn:
        angle = np.where(angle < 0, angle + turn, np.where(angle >= turn, angle - turn, angle))
    else:
        angle = angle % turn
    return angle - np.float32(np.pi)
