"""The exact masks of drawn people, found by the files of their images."""

import json
from functools import lru_cache
from pathlib import Path

from reid.synthetic.plan import Shot, plan_shots
from reid.synthetic.presets import PRESETS
from reid.synthetic.raster import Floats
from reid.synthetic.render import person_mask
from reid.synthetic.writer import MANIFEST, VERSION


def mask_of(path: Path) -> Floats | None:
    """Returns the share of each pixel of an image that shows the person, (128, 64) in [0, 1].

    Args:
        path: The image file, in a folder that :func:`reid.synthetic.ensure_synthetic` made.

    Returns:
        The mask, or None if the image is not one of this version's drawn people.
    """
    planned = _planned(path.parent.parent)
    if planned is None:
        return None
    seed, shots = planned
    shot = shots.get((path.parent.name, path.name))
    return None if shot is None else person_mask(seed, shot)


@lru_cache(maxsize=4)
def _planned(folder: Path) -> tuple[int, dict[tuple[str, str], Shot]] | None:
    """Returns the seed and the shots of a set, by folder and file; None if it is not ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        preset, seed = PRESETS[manifest["preset"]], int(manifest["seed"])
        version = manifest["generator_version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if version != VERSION:
        return None
    return seed, {(shot.folder, shot.file_name): shot for shot in plan_shots(preset, seed)}
