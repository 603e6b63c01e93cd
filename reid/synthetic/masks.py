"""The exact masks of drawn people: found by the files of their images, or written as files."""

import functools
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from reid.synthetic.plan import Shot, plan_shots
from reid.synthetic.presets import PRESETS
from reid.synthetic.raster import Floats
from reid.synthetic.render import person_mask
from reid.synthetic.style import Style
from reid.synthetic.writer import MANIFEST, VERSION, in_processes
from reid.utils.errors import InputError

MASKS = "masks"  # folder of the files, in that of the set


class Drawn(NamedTuple):
    """What a folder of drawn people was drawn from.

    Attributes:
        seed: Seed of the set.
        style: Range of the colours, and cameras of the test.
        shots: Its images, by folder and file name.
    """

    seed: int
    style: Style
    shots: dict[tuple[str, str], Shot]


def mask_of(path: Path) -> Floats | None:
    """Returns the share of each pixel of an image that shows the person, (128, 64) in [0, 1].

    Args:
        path: The image file, in a folder that :func:`reid.synthetic.ensure_synthetic` made.

    Returns:
        The mask, or None if the image is not one of this version's drawn people.
    """
    drawn = _drawn(path.parent.parent)
    if drawn is None:
        return None
    shot = drawn.shots.get((path.parent.name, path.name))
    return None if shot is None else person_mask(drawn.seed, shot, drawn.style)


def write_masks(folder: Path, workers: int = 0) -> Path:
    """Writes the mask of each image of a set, unless that was done before; returns their folder.

    The mask of ``query/NAME.jpg`` is ``masks/query/NAME.png``, 8-bit gray: 255 where the person
    fills the pixel. A picture of nobody has a black one. The folder appears when it is complete.

    Args:
        folder: A folder that :func:`reid.synthetic.ensure_synthetic` made.
        workers: Number of processes; 0 takes one for each core.

    Raises:
        InputError: The folder is not one of this version's drawn people.
    """
    final = folder / MASKS
    if final.exists():
        return final
    drawn = _drawn(folder)
    if drawn is None:
        raise InputError(f"'{folder}' holds no people that this version drew")
    shots = list(drawn.shots.values())
    with tempfile.TemporaryDirectory(prefix=f".{MASKS}-", dir=folder) as scratch:
        draft = Path(scratch) / MASKS
        for name in sorted({shot.folder for shot in shots}):
            (draft / name).mkdir(parents=True)
        write = functools.partial(_write_mask, draft, drawn.seed, drawn.style)
        done = in_processes(write, shots, workers)
        for _ in tqdm(done, "drawing masks", len(shots), unit="image", disable=None):
            pass
        try:
            draft.rename(final)
        except OSError:
            if not final.is_dir():  # else another run was first
                raise
    return final


def _write_mask(draft: Path, seed: int, style: Style, shot: Shot) -> None:
    mask = np.rint(255 * person_mask(seed, shot, style)).astype(np.uint8)
    Image.fromarray(mask).save((draft / shot.folder / shot.file_name).with_suffix(".png"))


@functools.lru_cache(maxsize=4)
def _drawn(folder: Path) -> Drawn | None:
    """Returns what a folder was drawn from; None if it is not ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        preset, seed = PRESETS[manifest["preset"]], int(manifest["seed"])
        version = manifest["generator_version"]
        # A manifest without these is of the time when there was no choice.
        style = Style(manifest.get("colors", "narrow"), manifest.get("test_cameras", "same"))
        style.check()
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
    if version != VERSION:
        return None
    shots = {(shot.folder, shot.file_name): shot for shot in plan_shots(preset, seed)}
    return Drawn(seed, style, shots)
