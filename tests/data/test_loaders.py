"""Batches: the same whatever the workers, complete, in order."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from augmentations import build
from PIL import Image

from reid.data.augmentation import TestTransform
from reid.data.images import ImageError
from reid.data.loaders import ImageDataset, ImageLoader, WorkerError, in_order, usable_workers
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
    batch = next(iter(ImageLoader(dataset, in_order(12, 12), 0, False)))
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
    loader = ImageLoader(
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
        passes.append(list(ImageLoader(dataset, sampler, workers, False)))
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


class Trouble(TestTransform):
    """Does something to the worker process that it runs in, at the first image of pid 9."""

    def __init__(self, what: str) -> None:
        super().__init__(SIZE)
        self.what = what
        self.home = os.getpid()

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> torch.Tensor:
        if np.asarray(image)[0, 0, 0] == 9 and os.getpid() != self.home:
            if self.what == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError(self.what)
        return super().__call__(image, rng)


ENDS = r"; use fewer workers, or none, or keep decoded images$"


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("killed", "^a worker process of the loader was killed, most often because memory ran out"),
        (
            "unable to allocate shared memory(shm) for file </torch_1>: No space left on device",
            r"^the shared memory of the loader's worker processes \(/dev/shm\) is full",
        ),
        (
            "Too many open files. Communication is no longer possible",
            r"^too many open files \(ulimit -n\)",
        ),
    ],
)
def test_trouble_of_workers_is_one_line(
    records: tuple[ImageRecord, ...], what: str, says: str
) -> None:
    loader = ImageLoader(ImageDataset(records, Trouble(what)), in_order(12, 4), 1, False)
    with pytest.raises(WorkerError, match=says + ENDS):
        list(loader)


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no signal tells of dead children")
def test_a_worker_that_dies_during_a_step_is_told_in_one_line(
    records: tuple[ImageRecord, ...],
) -> None:
    dataset = ImageDataset(records, Trouble("killed"))
    loader = ImageLoader(dataset, in_order(12, 4), 1, False, "buy memory")

    def train() -> None:
        for _ in loader:
            time.sleep(20)  # a long step; the signal comes now and ends it

    begin = time.monotonic()
    with pytest.raises(WorkerError, match=r"^a worker process .* killed, .*; buy memory$"):
        train()
    assert time.monotonic() - begin < 15


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no signal tells of dead children")
def test_nothing_is_said_of_workers_that_nobody_waits_for(
    records: tuple[ImageRecord, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tells_of_a_death(number: int, frame: object) -> None:
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated.")

    before = signal.signal(signal.SIGCHLD, tells_of_a_death)
    try:
        loader = ImageLoader(ImageDataset(records, TestTransform(SIZE)), in_order(12, 2), 1, False)
        monkeypatch.setattr(loader, "_loader", iter([1, 2]))
        batches = iter(loader)
        next(batches)
        handler = signal.getsignal(signal.SIGCHLD)
        with pytest.raises(WorkerError, match="a worker process of the loader was killed"):
            handler(signal.SIGCHLD, None)
        batches.close()  # the run stops
        assert handler(signal.SIGCHLD, None) is None
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="where Linux tells of signals")
def test_workers_start_with_signals_held_back(records: tuple[ImageRecord, ...]) -> None:
    def held(pid: object) -> set[int]:
        status = Path(f"/proc/{pid}/status").read_text()
        mask = int(next(x.split()[1] for x in status.splitlines() if x.startswith("SigBlk")), 16)
        return {n for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1) if mask >> (n - 1) & 1}

    batches = iter(
        ImageLoader(ImageDataset(records, TestTransform(SIZE)), in_order(12, 2), 1, False)
    )
    others = set(multiprocessing.active_children())
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - others
    assert held(worker.pid) == {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}
    assert held("self") == set()
    batches.close()


def test_a_bug_in_a_worker_keeps_its_words(records: tuple[ImageRecord, ...]) -> None:
    loader = ImageLoader(ImageDataset(records, Trouble("a bug")), in_order(12, 4), 1, False)
    with pytest.raises(RuntimeError, match=r"(?s)^Caught RuntimeError in DataLoader.*: a bug"):
        list(loader)


def test_an_unreadable_image_is_one_line_from_a_worker_too(
    records: tuple[ImageRecord, ...],
) -> None:
    records[5].path.write_bytes(b"no image")
    dataset = ImageDataset(records, TestTransform(SIZE))
    for workers in (0, 1):
        with pytest.raises(ImageError, match=rf"^{records[5].path}: cannot be read[^\n]*$"):
            list(ImageLoader(dataset, in_order(12, 4), workers, False))
