"""Records to batches."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from reid.data.images import opened
from reid.data.records import Records
from reid.data.samplers import PlanSampler, SeededIndex
from reid.utils import (
    distributed,
    part_files,  # noqa: F401 - a worker that is not forked finds a user's own parts by it
)
from reid.utils.batch import Batch
from reid.utils.checks import check_count

Transform = Callable[[Image.Image, np.random.Generator], Tensor]


class Plan(Protocol):
    """The batches of a pass: a sampler, or a list."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[list[SeededIndex]]: ...


class ImageDataset(Dataset[Batch]):
    """Decodes and transforms one record for each sample, an (index, seed) pair.

    Args:
        records: Images to read.
        transform: Function (image, generator) -> (3, H, W) uint8.
        label_of: Label of each pid; a pid that is not in it gets -1.
    """

    def __init__(
        self, records: Records, transform: Transform, label_of: Mapping[int, int] | None = None
    ) -> None:
        self.records = records
        self.transform = transform
        self.label_of = label_of or {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, sample: SeededIndex) -> Batch:
        """Returns one element as a Batch without its first dimension."""
        index, seed = sample
        record = self.records[index]
        with opened(record.path) as image:
            pixels = self.transform(image, np.random.default_rng(seed))
        label = self.label_of.get(record.pid, -1)
        numbers = torch.tensor([label, record.pid, record.camid, index])
        return Batch(pixels, *numbers.unbind())


def usable_workers(wanted: int) -> int:
    """Returns ``wanted``, or the number of cores for this process if that is smaller.

    More workers would only wait for each other. The number of workers changes no result.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(wanted, max(1, cores // distributed.local_world_size()))


def train_loader(
    dataset: ImageDataset, sampler: PlanSampler, num_workers: int, pin_memory: bool
) -> DataLoader[Batch]:
    """Builds the loader of an epoch's plan; call ``sampler.set_epoch`` before each pass.

    Workers are not kept between epochs, since they hold no state.

    Args:
        dataset: The training images.
        sampler: Sampler that plans each epoch.
        num_workers: Number of processes that decode; more than one for each core are not started.
        pin_memory: Whether batches go to a CUDA device.
    """
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=usable_workers(num_workers),
        pin_memory=pin_memory,
        generator=torch.Generator().manual_seed(
            0
        ),  # without it each pass moves torch's global state
    )


def in_order(count: int, batch_size: int) -> list[list[SeededIndex]]:
    """Plans batches that hold each of ``count`` images once, in order.

    Args:
        count: Number of images.
        batch_size: Images in a batch; the last one may have fewer.

    Raises:
        ArgumentError: The batch size is no whole number of at least 1.
    """
    check_count("batch_size", batch_size)
    samples = [(index, 0) for index in range(count)]
    return [samples[i : i + batch_size] for i in range(0, count, batch_size)]


def eval_loader(
    dataset: ImageDataset, plan: Plan, num_workers: int, pin_memory: bool
) -> DataLoader[Batch]:
    """Builds a loader of the batches of ``plan``; see :func:`in_order`.

    Args:
        dataset: Images of one split.
        plan: Batches of (index, seed) pairs.
        num_workers: Number of processes that decode; more than one for each core are not started.
        pin_memory: Whether batches go to a CUDA device.
    """
    return DataLoader(
        dataset,
        batch_sampler=plan,
        num_workers=usable_workers(num_workers),
        pin_memory=pin_memory,
        generator=torch.Generator().manual_seed(0),
    )
