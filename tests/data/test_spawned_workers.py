"""A loader's workers that are not forked, as on Windows and macOS."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import outside
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from reid.builders.data import build_transform
from reid.config import load_cfg
from reid.data.loaders import ImageDataset, in_order
from reid.data.records import ImageRecord

PART = Path(__file__).parents[1] / "extension/parts/solarize.py"


@pytest.fixture
def part() -> Iterator[Path]:
    """A part that is in no table any more when the test is over."""
    with outside.forgotten([PART]):
        yield PART


def test_a_spawned_worker_augments_with_a_part_of_the_users_own(tmp_path: Path, part: Path) -> None:
    records = []
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 256, (40, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        records.append(ImageRecord(tmp_path / f"{index}.png", index, 0))
    keys = ["IMPORTS", str(part), "INPUT.SIZE_TRAIN", "[32, 16]", "INPUT.PADDING", "4"]
    keys += ["INPUT.TRANSFORMS", "[flip, padding, jitter, grayscale_patch, erasing, solarize]"]
    probabilities = ("ERASING", "FLIP", "GRAYSCALE_PATCH", "JITTER", "SOLARIZE")
    keys += [word for name in probabilities for word in (f"INPUT.{name}_PROB", "1")]
    dataset = ImageDataset(tuple(records), build_transform(load_cfg(None, keys)), {0: 0})
    plan = in_order(4, 2)
    spawned = DataLoader(
        dataset, batch_sampler=plan, num_workers=1, multiprocessing_context="spawn"
    )
    here = [batch.images for batch in DataLoader(dataset, batch_sampler=plan)]
    there = [batch.images for batch in spawned]
    assert len(there) == 2
    for ours, theirs in zip(here, there, strict=True):
        assert torch.equal(ours, theirs)
