"""Makes the JPEG of one planned shot. All random numbers are derived from (seed, shot)."""

import functools
from typing import NamedTuple

import numpy as np

from reid.synthetic.body import body_strips, figure_height
from reid.synthetic.cameras import Camera, get_camera
from reid.synthetic.dyes import Dyes
from reid.synthetic.figure import Pose, View
from reid.synthetic.light import lit, tuned
from reid.synthetic.occluders import occluder
from reid.synthetic.optics import develop, shrink
from reid.synthetic.people import Person, draw_person
from reid.synthetic.plan import FOLDERS, PASSER_BY, Shot
from reid.synthetic.raster import Floats, paint
from reid.synthetic.scenes import COLS, ROWS, SCENE_COLS, draw_scene
from reid.synthetic.style import DEFAULT, Style
from reid.utils.seeding import derive_seed

Rng = np.random.Generator


class Walk(NamedTuple):
    """What is the same in all images of one subject at one camera.

    Attributes:
        yaw: Direction of walking, radians.
        elbows: Bend of both arms.
        stride: 0 stands.
        column: Column of the scene.
        sunlight: Factor on the exposure at that time.
    """

    yaw: float
    elbows: tuple[float, float]
    stride: float
    column: float
    sunlight: float


def render(seed: int, shot: Shot, style: Style = DEFAULT) -> bytes:
    """Returns the JPEG file of a shot, a function of the arguments alone.

    Args:
        seed: Seed of the set.
        shot: Image to make.
        style: How the set is drawn.
    """
    rng, camera, walk, canvas = _stage(seed, shot, style)
    _draw(rng, seed, shot, style, walk, Layers(canvas, canvas, canvas))
    if style.wide:
        camera = lit(_rng(seed, 6, *_key(shot)), camera)
    return develop(rng, canvas, camera, walk.sunlight)


def person_mask(seed: int, shot: Shot, style: Style = DEFAULT) -> Floats:
    """Returns the share of each pixel that shows the person of a shot, (HEIGHT, WIDTH) in [0, 1].

    It is exact: the picture is drawn once more, by the same code, with the person on a layer of its
    own. The shadow is no part of the person, and what stands before the person hides it. (The blur
    of the camera comes behind the drawing.)

    Args:
        seed: Seed of the set.
        shot: Image to make.
        style: How the set is drawn.
    """
    rng, _, walk, behind = _stage(seed, shot, style)
    # Colours are not negative, and a shadow only darkens: what is still negative was not painted.
    person, before = (np.full_like(behind, -1.0) for _ in range(2))
    _draw(rng, seed, shot, style, walk, Layers(behind, person, before))
    visible = (person.min(2) >= 0) & (before.min(2) < 0)
    return shrink(np.where(visible[..., None], np.ones(3, np.float32), 0))[..., 0]


def _stage(seed: int, shot: Shot, style: Style) -> tuple[Rng, Camera, Walk, Floats]:
    """Returns what a shot begins with: its generator, camera, walk and drawn background."""
    rng = _rng(seed, 1, *_key(shot))
    place = style.place(shot)
    camera, scene = _site(seed, place, style.wide)
    walk = _first_walk(seed, shot.subject, place, style.wide)
    return rng, camera, walk, _background(rng, scene, walk)


def _key(shot: Shot) -> tuple[int, ...]:
    """Returns the numbers that no other shot of a set has."""
    return FOLDERS.index(shot.folder), shot.pid + 1, shot.camid, shot.seq, shot.frame


class Layers(NamedTuple):
    """Canvases, (ROWS, COLS, 3) each, or one canvas three times.

    Attributes:
        behind: Gets strangers behind the person.
        person: Gets the person, and the shadow.
        before: Gets what stands before the person.
    """

    behind: Floats
    person: Floats
    before: Floats


def _draw(rng: Rng, seed: int, shot: Shot, style: Style, walk: Walk, layers: Layers) -> None:
    """Draws all that is not the empty scene."""
    camera, _ = _site(seed, style.place(shot), style.wide)
    if rng.random() < 0.15:
        _passer_by(rng, layers.behind, camera, seed, style, behind=True)
    if shot.subject:
        person = _person(seed, shot.subject, style.dyes)
        pose = _pose(rng, walk)
        _put(layers.person, person, pose, _box(rng, person, camera, junk=shot.pid < 0), camera)
    _cover(rng, layers.before, camera, seed, style)


def _rng(*parts: int) -> Rng:
    return np.random.default_rng(derive_seed(*parts))


@functools.lru_cache(maxsize=512)
def _person(seed: int, subject: int, dyes: Dyes) -> Person:
    """Returns the looks of a subject, kept for the next image."""
    return draw_person(_rng(seed, 3, subject), dyes)


@functools.lru_cache(maxsize=16)
def _site(seed: int, place: int, wide: bool) -> tuple[Camera, Floats]:
    """Returns the camera of a place and its empty scene, kept for the next image."""
    rng = _rng(seed, 4, place)
    camera = get_camera(rng, place)
    scene = draw_scene(rng, camera)
    return tuned(_rng(seed, 5, place), camera) if wide else camera, scene


@functools.lru_cache(maxsize=512)
def _first_walk(seed: int, subject: int, place: int, wide: bool) -> Walk:
    """Returns the walk of a subject at a place, kept for the next image."""
    camera, _ = _site(seed, place, wide)
    return _walk(_rng(seed, 2, subject, place), camera)


def _walk(rng: Rng, camera: Camera) -> Walk:
    back = np.pi if rng.random() < 0.35 else 0.0
    elbow = rng.uniform(0.1, 0.5, 2)
    if rng.random() < 0.2:  # holds something up
        elbow[rng.integers(2)] = rng.uniform(1.4, 2.2)
    return Walk(
        yaw=camera.yaw + back + rng.normal(0, camera.spread),
        elbows=(float(elbow[0]), float(elbow[1])),
        stride=0.08 if rng.random() < 0.15 else rng.uniform(0.28, 0.55),
        column=rng.uniform(0, SCENE_COLS - COLS),
        sunlight=float(np.exp(rng.normal(0, 0.10))),
    )


def _pose(rng: Rng, walk: Walk) -> Pose:
    return Pose(
        yaw=walk.yaw + rng.normal(0, 0.15),
        phase=rng.uniform(0, 2 * np.pi),
        stride=walk.stride,
        lean=rng.normal(0.05, 0.04),
        elbows=walk.elbows,
    )


def _background(rng: Rng, scene: Floats, walk: Walk) -> Floats:
    """Cuts the background of the walk out of the scene."""
    left = int(np.clip(walk.column + rng.normal(0, 25), 0, SCENE_COLS - COLS))
    top = int(rng.integers(0, scene.shape[0] - ROWS + 1))
    return scene[top : top + ROWS, left : left + COLS].copy()


def _box(rng: Rng, person: Person, camera: Camera, junk: bool = False) -> View:
    """Draws the detector's error: where the figure lies in the crop and how large."""
    fill = 0.96 * np.exp(rng.normal(0, 0.05))
    dx, dy = rng.normal(0, 0.05), rng.normal(0, 0.022)
    if rng.random() < 0.10:  # a loose or a cut box
        fill = fill * rng.uniform(0.8, 1.2)
        dy = dy + rng.normal(0, 0.06)
    if junk:
        fill *= rng.choice((0.45, 1.9, 2.6))
        dx, dy = rng.choice((-1, 1)) * rng.uniform(0.2, 0.5), rng.uniform(-0.4, 0.5)
    tall = figure_height(person) * np.cos(camera.pitch)
    middle = ROWS * (0.49 + dy)
    scale = fill * ROWS / tall
    return View(COLS * (0.5 + dx), middle + 0.5 * scale * tall, scale, camera.pitch)


def _put(canvas: Floats, person: Person, pose: Pose, view: View, camera: Camera) -> None:
    """Draws a person and the shadow at the feet."""
    wide, tall = 0.30 * view.scale, 0.07 * view.scale
    top, bottom = max(int(view.y - 3 * tall), 0), min(max(int(view.y + 3 * tall), 0), ROWS)
    if top < bottom:
        y = (np.arange(top, bottom)[:, None] - view.y) / tall
        x = (np.arange(COLS) - view.x) / wide + 0.5 * np.sign(camera.light[0])
        canvas[top:bottom] *= (1 - 0.45 * np.exp(-(y * y + x * x)))[..., None]
    paint(canvas, body_strips(person, pose, view), camera.light)


def _passer_by(
    rng: Rng, canvas: Floats, camera: Camera, seed: int, style: Style, behind: bool
) -> None:
    """Draws a stranger at one side, farther away or cutting into the picture."""
    person = _person(seed, PASSER_BY + int(rng.integers(400)), style.dyes)
    view = _box(rng, person, camera)
    side = rng.choice((-1, 1)) * (rng.uniform(0.25, 0.5) if behind else rng.uniform(0.48, 0.68))
    size = rng.uniform(0.55, 0.85) if behind else rng.uniform(1.0, 1.25)
    rise = 0.12 * ROWS if behind else -0.06 * ROWS
    view = view._replace(x=COLS * (0.5 + side), y=view.y - rise, scale=view.scale * size)
    _put(canvas, person, _pose(rng, _walk(rng, camera)), view, camera)


def _cover(rng: Rng, canvas: Floats, camera: Camera, seed: int, style: Style) -> None:
    """Puts a thing or a stranger before the person, in one image of six."""
    if rng.random() < 0.11:
        paint(canvas, occluder(rng), camera.light)
    elif rng.random() < 0.07:
        _passer_by(rng, canvas, camera, seed, style, behind=False)
