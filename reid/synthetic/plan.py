"""Which images a set holds: who is seen by which camera, when, and in which split. No pixels."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reid.synthetic.presets import Preset
from reid.utils.seeding import derive_seed

MAX_PID = 1501
FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
TRAIN, QUERY, GALLERY = FOLDERS
DISTRACTOR_PID = 0  # in Market-1501, too
PASSER_BY = 10_000  # subjects from here on are in no identity set

Ints = npt.NDArray[np.int64]


class Shot(NamedTuple):
    """One image to be made.

    Attributes:
        folder: One of FOLDERS.
        pid: Identity in the file name; -1 junk, 0 distractor.
        camid: 0-based camera.
        seq: 1-based recording of the camera.
        frame: Frame number within the recording.
        box: Number of the detection; 0 is a box drawn by hand, as in Market's queries.
        subject: Whom to draw: a pid, a passer-by (>= PASSER_BY), or 0 for nobody.
    """

    folder: str
    pid: int
    camid: int
    seq: int
    frame: int
    box: int
    subject: int

    @property
    def file_name(self) -> str:
        """Returns the name in Market's layout, such as ``0002_c1s1_000451_03.jpg``."""
        pid = f"{self.pid:04d}" if self.pid >= 0 else "-1"
        return f"{pid}_c{self.camid + 1}s{self.seq}_{self.frame:06d}_{self.box:02d}.jpg"


def plan_shots(preset: Preset, seed: int) -> list[Shot]:
    """Lists every image of a set; the same (preset, seed) gives the same list.

    Every test identity is seen by two cameras or more and leaves one query and at least one gallery
    image in each of them, so every query has a match from another camera.

    Args:
        preset: Numbers of cameras, identities and images.
        seed: Seed of the set.
    """
    rng = np.random.default_rng(derive_seed(seed, 0))
    pids = rng.permutation(MAX_PID) + 1
    train_pids = np.sort(pids[: preset.train_ids])
    test_pids = np.sort(pids[preset.train_ids : preset.train_ids + preset.test_ids])
    sightings = round(preset.train_ids * preset.query / preset.test_ids)
    shots = _tracks(rng, train_pids, sightings, preset.train, preset.num_cams, with_query=False)
    seen = preset.query + preset.matches
    shots += _tracks(rng, test_pids, preset.query, seen, preset.num_cams, with_query=True)
    shots += _strays(
        rng, DISTRACTOR_PID, preset.distractors, preset.num_cams, _passers_by(rng, preset)
    )
    junk_subjects = rng.choice(test_pids, preset.junk)
    shots += _strays(rng, -1, preset.junk, preset.num_cams, junk_subjects)
    return shots


def _tracks(
    rng: np.random.Generator, pids: Ints, tracks: int, images: int, num_cams: int, with_query: bool
) -> list[Shot]:
    """Plans ``images`` shots of ``pids`` in ``tracks`` (identity, camera) pairs."""
    cams_per_pid = _bounded_split(rng, tracks, len(pids), low=2, high=num_cams)
    lengths = _uneven_split(rng, images, tracks, low=2 if with_query else 1)
    shots: list[Shot] = []
    track = 0
    for pid, num in zip(pids.tolist(), cams_per_pid.tolist(), strict=True):
        for camid in np.sort(rng.choice(num_cams, num, replace=False)).tolist():
            shots += _track(rng, pid, camid, int(lengths[track]), with_query)
            track += 1
    return shots


def _track(
    rng: np.random.Generator, pid: int, camid: int, length: int, with_query: bool
) -> list[Shot]:
    """Plans one walk of one identity through one camera; at random one image is the query."""
    seq = int(rng.integers(1, 7))
    frames = int(rng.integers(1, 80_000)) + 25 * np.cumsum(rng.integers(1, 5, length))
    boxes = rng.integers(1, 6, length)
    query = int(rng.integers(length)) if with_query else -1
    shots = []
    for i, (frame, box) in enumerate(zip(frames.tolist(), boxes.tolist(), strict=True)):
        folder = (QUERY if i == query else GALLERY) if with_query else TRAIN
        shots.append(Shot(folder, pid, camid, seq, frame, 0 if i == query else box, pid))
    return shots


def _strays(
    rng: np.random.Generator, pid: int, count: int, num_cams: int, subjects: Ints
) -> list[Shot]:
    """Plans gallery images that belong to nobody; every frame is used once, so names differ."""
    frames = rng.choice(99_000, count, replace=False) + 1
    columns = (rng.integers(num_cams, size=count), rng.integers(1, 7, count), frames)
    rows = zip(*(c.tolist() for c in (*columns, rng.integers(1, 6, count), subjects)), strict=True)
    return [Shot(GALLERY, pid, cam, seq, frame, box, who) for cam, seq, frame, box, who in rows]


def _passers_by(rng: np.random.Generator, preset: Preset) -> Ints:
    """Draws the subjects of the distractors: nobody in a third, else one of few strangers."""
    strangers = PASSER_BY + rng.integers(max(1, preset.distractors // 4), size=preset.distractors)
    return np.where(rng.random(preset.distractors) < 1 / 3, 0, strangers)


def _bounded_split(rng: np.random.Generator, total: int, count: int, low: int, high: int) -> Ints:
    """Splits ``total`` at random into ``count`` whole numbers from ``low`` to ``high``."""
    spare = rng.permutation(np.repeat(np.arange(count), high - low))[: total - low * count]
    return low + np.bincount(spare, minlength=count)


def _uneven_split(rng: np.random.Generator, total: int, count: int, low: int) -> Ints:
    """Splits ``total`` into ``count`` whole numbers >= ``low`` of very different size."""
    weights = rng.gamma(2.0, size=count)
    return low + rng.multinomial(total - low * count, weights / weights.sum())
