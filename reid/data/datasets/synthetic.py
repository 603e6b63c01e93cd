"""Synthetic people: made on first use, in Market-1501's layout."""

from pathlib import Path
from typing import Literal, TypeAlias

from reid.data.datasets.registry import DATASETS
from reid.data.layout import load_folders
from reid.data.records import Splits
from reid.synthetic import DISTRACTOR_PID, Style, ensure_synthetic
from reid.utils.checks import Seed

Preset: TypeAlias = Literal["tiny", "quick", "market-scale"]
Colors: TypeAlias = Literal["wide", "narrow"]
TestCameras: TypeAlias = Literal["same", "other"]


@DATASETS.register("synthetic")
def synthetic(
    root: Path,
    train: bool,
    preset: Preset = "quick",
    seed: Seed = 0,
    colors: Colors = "wide",
    test_cameras: TestCameras = "same",
) -> Splits:
    """Draws the people of ``preset`` under ``root`` if they are not there, and loads them.

    Args:
        root: Folder of the data sets; the new folder is ``synthetic-<preset>-seed<seed>-wide`` in
            it, or is named after the other settings.
        train: Whether the training images are needed.
        preset: Size of the set.
        seed: Seed of the people, cameras and images.
        colors: Range of clothes' colours, exposure, contrast and colour cast; `narrow` draws the
            same bytes as the versions before there was this choice, to repeat their numbers
        test_cameras: `other` has query and gallery seen by other cameras, before other backgrounds,
            than the training images
    """
    folder = ensure_synthetic(root, preset, seed, style=Style(colors, test_cameras))
    source = "Made by tools/make_synthetic.py."
    return load_folders(
        folder, train, (".",), 6, "synthetic people", source, distractor_pid=DISTRACTOR_PID
    )
