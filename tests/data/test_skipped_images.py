"""DATALOADER.ON_ERROR: what cannot be read ends the run, or is left out, counted and listed."""

import logging
from pathlib import Path

import pytest
from PIL import Image

from reid.builders.common import build_device
from reid.builders.data import build_train_loader
from reid.builders.datasets import load_splits
from reid.config import load_cfg
from reid.data.records import Splits
from reid.utils.errors import InputError

LOGGER = logging.getLogger("test.skipped")


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Market's layout: people 1..4 in train, 5 and 6 in test, 4 images each in 2 cameras."""
    for folder, pids in (
        ("bounding_box_train", range(1, 5)),
        ("query", (5, 6)),
        ("bounding_box_test", (5, 6)),
    ):
        (tmp_path / folder).mkdir()
        for pid in pids:
            for frame in range(4):
                name = f"{pid:04}_c{frame % 2 + 1}s1_{frame:06}_01.jpg"
                Image.new("RGB", (8, 16), (pid, frame, 0)).save(tmp_path / folder / name)
    return tmp_path


def config(root: Path, *more: str) -> object:
    return load_cfg(None, ["DATASETS.NAMES", "[market1501]", "DATASETS.ROOT_DIR", str(root), *more])


def splits_of(root: Path, *more: str) -> Splits:
    return load_splits(config(root, *more), True, LOGGER)


def test_skip_leaves_out_what_cannot_be_read_and_lists_it(
    market: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = splits_of(market)
    broken = [whole.train[3].path, whole.train[7].path, whole.query[0].path]
    for path in broken:
        path.write_bytes(b"no image")
    assert splits_of(market) == whole  # with `raise` nothing is decoded here
    caplog.clear()
    with caplog.at_level(logging.INFO, LOGGER.name):
        kept = splits_of(market, "DATALOADER.ON_ERROR", "skip")
    assert kept.train == tuple(record for record in whole.train if record.path not in broken)
    assert kept.query == whole.query[1:]
    assert kept.gallery == whole.gallery
    assert kept.unreadable == {"train": 2, "query": 1}
    said = caplog.text
    assert (
        "train: 2 of 16 images cannot be read and are left out (DATALOADER.ON_ERROR skip)" in said
    )
    assert "query: 1 of 8 images cannot be read and are left out" in said
    assert all(f"{path}: cannot be read as an image (it is empty" in said for path in broken)
    assert "gallery: " not in said.replace("market1501 gallery: ", "")
    rows = {line.split()[0]: line.split()[1] for line in said.splitlines() if line[:1].isalpha()}
    assert (rows["train"], rows["query"], rows["gallery"]) == ("14", "7", "8")


def test_skip_with_nothing_to_skip_changes_nothing(
    market: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert splits_of(market, "DATALOADER.ON_ERROR", "skip") == splits_of(market)
    assert "left out" not in caplog.text


def test_a_split_without_a_readable_image_is_an_error(market: Path) -> None:
    for path in (market / "query").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"^query: none of the 8 images can be read; .*jpg: cannot"
    ):
        splits_of(market, "DATALOADER.ON_ERROR", "skip")


@pytest.mark.parametrize("cache", ["none", "ram", "disk"])
def test_a_run_that_skips_meets_no_broken_image(
    market: Path, cache: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (market / "bounding_box_train/0002_c1s1_000002_01.jpg").write_bytes(b"no image")
    more = [
        *("DATALOADER.CACHE", cache, "DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "8"),
        *("MODEL.DEVICE", "cpu", "INPUT.SIZE_TRAIN", "[32, 16]", "DATALOADER.NUM_INSTANCES", "2"),
        *("OUTPUT_DIR", str(tmp_path_factory.mktemp("out"))),
    ]
    with pytest.raises(InputError, match=r"0002_c1s1_000002_01\.jpg: cannot be read"):
        seen(config(market, *more))
    assert seen(config(market, *more, "DATALOADER.ON_ERROR", "skip")) == 15


def seen(cfg: object) -> int:
    """Returns how many different images ten epochs show."""
    loader, sampler = build_train_loader(
        cfg, load_splits(cfg, True, LOGGER).train, build_device(cfg)
    )
    indices = set()
    for epoch in range(1, 11):
        sampler.set_epoch(epoch)
        for batch in loader:
            indices |= set(batch.indices.tolist())
    return len(indices)
