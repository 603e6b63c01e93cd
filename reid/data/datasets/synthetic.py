"""Synthetic people: made on first use, in Market-1501's layout."""

from pathlib import Path
from typing import Literal, TypeAlias

from reid.data.datasets.registry import DATASETS
from reid.data.layout import load_folders
from reid.data.records import Splits
from reid.synthetic import DISTRACTOR_PID, ensure_synthetic
from reid.utils.checks import Seed

Preset: TypeAlias = Literal["tiny", "quick", "market-scale"]


@DATASETS.register("synthetic")
def synthetic(root: Path, train: bool, preset: Preset = "quick", seed: Seed = 0) -> Splits:
    """Draws the people of ``preset`` under ``root`` if they are not there, and loads them.

    Args:
        root: Folder of the data sets; the new folder is ``synthetic-<preset>-seed<seed>`` in it.
        train: Whether the training images are needed.
        preset: Size of the set.
        seed: Seed of the people, cameras and images.
    """
    folder = ensure_synthetic(root, preset, seed)
    source = "Made by tools/make_synthetic.py."
    return load_folders(
        folder, train, (".",), 6, "synthetic people", source, distractor_pid=DISTRACTOR_PID
    )
