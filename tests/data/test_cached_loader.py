"""Batches from a store are those of the per-image loader, to the bit."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from augmentations import build
from PIL import Image

from reid.data.augmentation import TestTransform
from reid.data.cache.decode import cache_in_memory, cache_on_disk
from reid.data.cache.loader import CachedLoader
from reid.data.loaders import ImageDataset, ImageLoader, in_order
from reid.data.records import ImageRecord, Records
from reid.data.samplers import PKSampler
from reid.utils.batch import Batch, BatchLoader, to_unit

SIZE, CPU = (24, 12), torch.device("cpu")
LABELS = {3: 0, 5: 1, 9: 2}
TRANSFORMS = {
    "usual": build(SIZE, padding=2),
    "nothing": build(SIZE, ()),
    "all": build(SIZE, padding=3, jitter_prob=0.7, grayscale_patch_prob=0.6),
}


@pytest.fixture
def records(tmp_path: Path) -> Records:
    found = []
    for pid in LABELS:
        for frame in range(5):
            path = tmp_path / f"{pid:04}_c{frame % 2 + 1}s1_{frame:06}_01.jpg"
            rng = np.random.default_rng(pid * 100 + frame)
            Image.fromarray(rng.integers(0, 256, (30, 17, 3), dtype=np.uint8)).save(path)
            found.append(ImageRecord(path, pid, frame % 2))
    return tuple(found)


def sampler(records: Records) -> PKSampler:
    return PKSampler([record.pid for record in records], 2, 2, seed=4)


def store(records: Records, kind: str, folder: Path) -> np.ndarray:
    paths = [record.path for record in records]
    if kind == "ram":
        return cache_in_memory(paths, SIZE, 2, "train")
    return cache_on_disk(paths, SIZE, 2, "train", folder / "cache" / "train.rows")


def epochs(loader: BatchLoader, plan: PKSampler) -> list[Batch]:
    batches = []
    for epoch in (1, 2, 3):
        plan.set_epoch(epoch)
        batches += list(loader)
    return batches


def same(left: list[Batch], right: list[Batch]) -> bool:
    pairs = list(zip(left, right, strict=True))
    return bool(pairs) and all(all(map(torch.equal, one, other)) for one, other in pairs)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("workers", [0, 2])
def test_no_cache_ram_and_disk_give_the_same_batches(
    records: Records, tmp_path: Path, name: str, workers: int
) -> None:
    transform, plan = TRANSFORMS[name], sampler(records)
    dataset = ImageDataset(records, transform, LABELS)
    expected = epochs(ImageLoader(dataset, plan, workers, False), plan)
    for kind in ("ram", "disk"):
        pixels = store(records, kind, tmp_path)
        for on_device in (False, True):
            loader = CachedLoader(pixels, records, plan, CPU, LABELS, transform, on_device)
            assert len(loader) == len(plan)
            assert same(epochs(loader, plan), expected)


@pytest.mark.parametrize("batch_size", [1, 4, 50])
def test_evaluation_sees_every_image_once_in_order(
    records: Records, tmp_path: Path, batch_size: int
) -> None:
    pixels = store(records, "disk", tmp_path)
    loader = CachedLoader(pixels, records, in_order(len(records), batch_size), CPU)
    expected = list(
        ImageLoader(
            ImageDataset(records, TestTransform(SIZE)), in_order(len(records), batch_size), 0, False
        )
    )
    assert same(list(loader), expected)
    assert same(list(loader), expected)  # a second pass


def test_a_batch_is_channels_last_without_a_copy(records: Records, tmp_path: Path) -> None:
    plan = sampler(records)
    loader = CachedLoader(store(records, "ram", tmp_path), records, plan, CPU, LABELS)
    images = next(iter(loader)).images
    assert images.is_contiguous(memory_format=torch.channels_last)
    unit = to_unit(images)
    assert unit.contiguous(memory_format=torch.channels_last).data_ptr() == unit.data_ptr()


def test_a_pass_moves_no_global_random_state_and_leaves_the_store_alone(
    records: Records, tmp_path: Path
) -> None:
    pixels, plan = store(records, "ram", tmp_path), sampler(records)
    before, state = pixels.copy(), torch.random.get_rng_state()
    loader = CachedLoader(pixels, records, plan, CPU, LABELS, TRANSFORMS["all"])
    for batch in loader:
        batch.images.zero_()
    assert np.array_equal(pixels, before)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_pass_that_stops_early_leaves_no_thread(records: Records, tmp_path: Path) -> None:
    plan = in_order(len(records), 1)
    loader = CachedLoader(store(records, "ram", tmp_path), records, plan, CPU)
    for batch in loader:
        assert batch.indices.tolist() == [0]
        break
    assert next(iter(loader)).indices.tolist() == [0]
    names = [thread.name for thread in threading.enumerate()]
    assert "reid-prefetch" not in names


def test_what_goes_wrong_ahead_of_time_is_raised_in_the_loop(
    records: Records, tmp_path: Path
) -> None:
    plan = [[(0, 0)], [(len(records), 0)]]  # the second batch asks for an image that is not there
    passed = iter(CachedLoader(store(records, "ram", tmp_path), records, plan, CPU))
    next(passed)
    with pytest.raises(IndexError):
        next(passed)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("on_device", [False, True])
def test_cuda_gets_the_same_batches(records: Records, tmp_path: Path, on_device: bool) -> None:
    transform, plan = TRANSFORMS["all"], sampler(records)
    dataset = ImageDataset(records, transform, LABELS)
    expected = epochs(ImageLoader(dataset, plan, 0, False), plan)
    cuda, pixels = torch.device("cuda"), store(records, "ram", tmp_path)
    loader = CachedLoader(pixels, records, plan, cuda, LABELS, transform, on_device)
    found = epochs(loader, plan)
    assert all(batch.images.is_cuda == on_device for batch in found)
    assert all(batch.labels.is_pinned() for batch in found)
    assert same([Batch(*(part.cpu() for part in batch)) for batch in found], expected)
