"""Batches: the same whatever the workers, complete, in order."""

from pathlib import Path

import pytest
import torch
from augmentations import build
from PIL import Image

from reid.data.augmentation import TestTransform
from reid.data.loaders import ImageDataset, eval_loader, in_order, train_loader, usable_workers
from reid.data.records import ImageRecord
from reid.data.samplers import PKSampler
from reid.utils.batch import to_unit
from reid.utils.errors import InputError

SIZE = (16, 8)


@pytest.fixture
def records(tmp_path: Path) -> tuple[ImageRecord, ...]:
    found = []
    for pid in (3, 5, 9):
        for frame in range(4):
            path = tmp_path / f"{pid:04}_c{frame % 2 + 1}s1_{frame:06}_01.png"
            Image.new("RGB", (8, 16), (pid, frame, 0)).save(path)
            found.append(ImageRecord(path, pid, frame % 2))
    return tuple(found)


def test_a_batch_says_what_it_holds(records: tuple[ImageRecord, ...]) -> None:
    dataset = ImageDataset(records, TestTransform(SIZE), {3: 0, 5: 1, 9: 2})
    batch = next(iter(eval_loader(dataset, in_order(12, 12), 0, False)))
    assert batch.images.dtype == torch.uint8
    assert batch.images.shape == (12, 3, *SIZE)
    assert batch.images[:, 0, 0, 0].tolist() == batch.pids.tolist() == [3] * 4 + [5] * 4 + [9] * 4
    assert batch.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert batch.camids.tolist() == [0, 1] * 6
    assert batch.indices.tolist() == list(range(12))


@pytest.mark.parametrize("batch_size", [1, 5, 12, 50])
def test_evaluation_sees_every_image_once_in_order(
    records: tuple[ImageRecord, ...], batch_size: int
) -> None:
    loader = eval_loader(
        ImageDataset(records, TestTransform(SIZE)), in_order(len(records), batch_size), 0, False
    )
    batches = list(loader)
    assert torch.cat([b.indices for b in batches]).tolist() == list(range(12))
    assert all((b.labels == -1).all() for b in batches)
    assert len(loader) == len(batches) == -(-12 // batch_size)


def test_workers_change_nothing(records: tuple[ImageRecord, ...]) -> None:
    dataset = ImageDataset(records, build(SIZE, padding=2), {3: 0, 5: 1, 9: 2})
    before = torch.random.get_rng_state()
    passes = []
    for workers in (0, 1, 2):
        sampler = PKSampler([r.pid for r in records], 2, 2, seed=4)
        passes.append(list(train_loader(dataset, sampler, workers, False)))
    for one, other in zip(passes[0], passes[1], strict=True):
        assert all(map(torch.equal, one, other))
    for one, other in zip(passes[0], passes[2], strict=True):
        assert all(map(torch.equal, one, other))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_image_drawn_twice_is_augmented_anew(records: tuple[ImageRecord, ...]) -> None:
    dataset = ImageDataset(records, build(SIZE, erasing_prob=1.0))
    assert not torch.equal(dataset[(0, 1)].images, dataset[(0, 2)].images)
    assert torch.equal(dataset[(0, 1)].images, dataset[(0, 1)].images)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "0001_c1s1_000001_01.jpg"
    path.write_bytes(b"no image")
    dataset = ImageDataset((ImageRecord(path, 1, 0),), TestTransform(SIZE))
    with pytest.raises(InputError, match=r"0001_c1s1_000001_01\.jpg: cannot be read"):
        dataset[(0, 0)]


def test_no_more_workers_than_cores() -> None:
    assert usable_workers(0) == 0
    assert 1 <= usable_workers(10_000) < 10_000


def test_bytes_become_exact_multiples_of_1_over_255() -> None:
    images = torch.arange(256, dtype=torch.uint8)
    unit = to_unit(images)
    assert unit.dtype == torch.float32
    assert (unit.min(), unit.max()) == (0.0, 1.0)
    assert torch.equal((unit * 255).round().to(torch.uint8), images)
