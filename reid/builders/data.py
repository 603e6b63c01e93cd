"""Augmentation, samplers and loaders."""

from collections.abc import Sequence
from pathlib import Path

import torch
from yacs.config import CfgNode

from reid.builders.common import SAMPLER, make
from reid.data.augmentation import AUGMENTATIONS, TestTransform, TrainTransform
from reid.data.cache.decode import cache_in_memory, cache_on_disk
from reid.data.cache.file import CacheError, PixelRows
from reid.data.cache.loader import CachedLoader
from reid.data.images import ImageError
from reid.data.loaders import ImageDataset, ImageLoader, Plan, in_order, usable_workers
from reid.data.records import (
    Records,
    Splits,
    label_of_pid,
)
from reid.data.samplers import SAMPLERS, PlanSampler
from reid.utils import distributed
from reid.utils.batch import BatchLoader
from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed


def build_transform(cfg: CfgNode) -> TrainTransform:
    """Builds the augmentations of INPUT.TRANSFORMS."""
    size = cfg.INPUT.SIZE_TRAIN
    augmentations = [make(AUGMENTATIONS, name, cfg, size=size) for name in cfg.INPUT.TRANSFORMS]
    return TrainTransform(size, augmentations)


# Arguments of a sampler that come from keys.
_SAMPLER_KEYS = {
    "num_instances": "DATALOADER.NUM_INSTANCES",
    "num_ids": "SOLVER.IMS_PER_BATCH / DATALOADER.NUM_INSTANCES",
    "batch_size": "SOLVER.IMS_PER_BATCH",
}


def build_sampler(cfg: CfgNode, records: Records, labels: Sequence[int]) -> PlanSampler:
    """Builds the sampler of DATALOADER.SAMPLER.

    Args:
        cfg: The config.
        records: Of the training split.
        labels: (N,) label of each record.
    """
    batch, k = cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCES
    sampler: PlanSampler = make(
        SAMPLERS,
        cfg.DATALOADER.SAMPLER,
        cfg,
        fact_keys=_SAMPLER_KEYS,
        labels=labels,
        camids=[record.camid for record in records],
        sources=[record.source for record in records],
        num_images=len(records),
        batch_size=batch,
        num_ids=batch // k,
        num_instances=k,
        seed=derive_seed(cfg.SEED, SAMPLER),
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )
    return sampler


def build_train_loader(
    cfg: CfgNode, records: Records, device: torch.device
) -> tuple[BatchLoader, PlanSampler]:
    """Builds the loader of the training split and the sampler that plans its epochs.

    Args:
        cfg: The config.
        records: Of the training split.
        device: Of the model.
    """
    label_of = label_of_pid(records)
    sampler = build_sampler(cfg, records, [label_of[record.pid] for record in records])
    transform, on_device = build_transform(cfg), augments_on_device(cfg, device)
    if cfg.DATALOADER.CACHE == "none":
        dataset = ImageDataset(records, transform, label_of)
        return _image_loader(cfg, dataset, sampler, device), sampler
    pixels = build_cache(cfg, records, cfg.INPUT.SIZE_TRAIN, "train")
    return CachedLoader(pixels, records, sampler, device, label_of, transform, on_device), sampler


_ADVICE = (
    "lower DATALOADER.NUM_WORKERS (0 decodes in the main process), set DATALOADER.CACHE ram or"
    " disk, or give the machine more memory or a larger /dev/shm"
)


def _image_loader(
    cfg: CfgNode, dataset: ImageDataset, plan: Plan, device: torch.device
) -> ImageLoader:
    on_cuda = device.type == "cuda"
    return ImageLoader(dataset, plan, cfg.DATALOADER.NUM_WORKERS, on_cuda, _ADVICE)


def augments_on_device(cfg: CfgNode, device: torch.device) -> bool:
    """Says whether INPUT.DEVICE puts augmentation on the GPU of the model.

    Args:
        cfg: The config.
        device: Device of the model.
    """
    wanted = cfg.INPUT.DEVICE
    if wanted == "cuda" and device.type != "cuda":
        raise InputError(
            f"INPUT.DEVICE is cuda, but the model is on the {device.type}; set INPUT.DEVICE auto"
        )
    return wanted != "cpu" and device.type == "cuda"


def build_cache(cfg: CfgNode, records: Records, size: tuple[int, int], split: str) -> PixelRows:
    """Decodes a split as DATALOADER.CACHE says; returns rows (N, H, W, 3) uint8.

    Several processes share the pages of one file, so that a machine holds each image once.

    Args:
        cfg: The config.
        records: Of the split, N of them.
        size: (height, width) in pixels.
        split: What the split is called.
    """
    paths = [record.path for record in records]
    threads = usable_workers(cfg.DATALOADER.NUM_WORKERS)
    file = Path(cfg.OUTPUT_DIR) / "cache" / f"{split}_{size[0]}x{size[1]}.rows"
    try:
        if cfg.DATALOADER.CACHE == "ram" and not distributed.active():
            return cache_in_memory(paths, size, threads, split)
        return cache_on_disk(paths, size, threads, split, file)
    except ImageError as error:
        if cfg.DATALOADER.ON_ERROR == "skip":  # it was readable a moment ago
            raise
        raise InputError(f"{error}; mend it, or set DATALOADER.ON_ERROR skip") from error
    except CacheError as error:
        raise InputError(f"{error.message}; set DATALOADER.CACHE {error.instead}") from error


def build_eval_loader(
    cfg: CfgNode, records: Records, device: torch.device, split: str, once: bool
) -> BatchLoader:
    """Builds a loader that yields this process's part of the records, in order.

    Args:
        cfg: The config.
        records: Of the split, for all processes.
        device: Of the model.
        split: What the records are called.
        once: Whether there will be one pass only: memory then is not filled for nothing.
    """
    size, cache = cfg.INPUT.SIZE_TEST, cfg.DATALOADER.CACHE
    plan = distributed.local_part(in_order(len(records), cfg.TEST.IMS_PER_BATCH))
    if cache == "none" or (cache == "ram" and once):
        dataset = ImageDataset(records, TestTransform(size))
        return _image_loader(cfg, dataset, plan, device)
    pixels = build_cache(cfg, records, TestTransform(size).size, split)
    return CachedLoader(pixels, records, plan, device)


def build_eval_loaders(
    cfg: CfgNode, splits: Splits, device: torch.device, once: bool
) -> tuple[BatchLoader, BatchLoader]:
    """Builds the loaders of query and gallery; see :func:`build_eval_loader`.

    Args:
        cfg: The config.
        splits: The data set.
        device: Device of the model.
        once: Whether there will be one pass only.
    """
    return (
        build_eval_loader(cfg, splits.query, device, "query", once),
        build_eval_loader(cfg, splits.gallery, device, "gallery", once),
    )
