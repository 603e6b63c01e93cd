"""Data sets, augmentation and loaders."""

import logging
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from yacs.config import CfgNode

from reid.data.augment import GrayscalePatch, Jitter
from reid.data.datasets import DATASETS, PUBLISHED
from reid.data.loaders import (
    ImageDataset,
    eval_loader,
    in_order,
    train_loader,
    usable_workers,
)
from reid.data.records import (
    Records,
    Splits,
    cut_validation,
    describe_counts,
    label_of_pid,
)
from reid.data.sampler import PKSampler, PlanSampler, ShuffleSampler
from reid.data.store import store_in_memory, store_on_disk
from reid.data.store_loader import StoreLoader
from reid.data.transforms import TestTransform, TrainTransform
from reid.utils import distributed
from reid.utils.batch import BatchLoader
from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed
from reid.wiring.common import SAMPLER, VALIDATION, make


def load_splits(cfg: CfgNode, train: bool, logger: logging.Logger) -> Splits:
    """Loads the data set and logs its counts beside the published ones."""
    name = cfg.DATASETS.NAMES[0]
    root = Path(cfg.DATASETS.ROOT_DIR).expanduser()
    splits: Splits = distributed.in_turn(
        lambda: make(DATASETS, name, cfg.DATASETS, "DATASETS", root=root, train=train)
    )
    found = [(r.path.name, r.pid, r.camid) for part in splits for r in part]
    distributed.check_same(f"data set {name}", repr(found))
    rows, warnings = describe_counts(splits, PUBLISHED.get(name))
    headers = ("split", "images", "ids", "cameras", "published")
    logger.info(f"data set {name}\n{tabulate(rows, headers)}")
    for warning in warnings:
        logger.warning(f"warning: {name} {warning}")
    return splits


def split_validation(cfg: CfgNode, splits: Splits, logger: logging.Logger) -> Splits:
    """Returns what to train on, with the query and gallery that pick best.pth; logs which."""
    fraction = cfg.SOLVER.VAL_FRACTION
    if not fraction:
        logger.info("best.pth is picked on the TEST split, as the field does (VAL_FRACTION 0)")
        return splits
    try:
        cut = cut_validation(splits.train, fraction, derive_seed(cfg.SEED, VALIDATION))
    except InputError as error:
        raise InputError(f"SOLVER.{error}") from error
    rows, _ = describe_counts(cut)
    logger.info(
        "best.pth is picked on a validation split of identities held out from train\n"
        + tabulate(rows, ("split", "images", "ids", "cameras", ""))
    )
    return cut


def build_transform(cfg: CfgNode) -> TrainTransform:
    """Builds the augmentation of INPUT.*."""
    c = cfg.INPUT
    jitter = Jitter(c.JITTER_PROB, c.JITTER)
    patch = GrayscalePatch(c.GRAYSCALE_PATCH_PROB, c.GRAYSCALE_PATCH_AREA, c.GRAYSCALE_PATCH_ASPECT)
    erasing = (c.ERASING_PROB, c.ERASING_AREA, c.ERASING_ASPECT, c.ERASING_FILL)
    try:
        return TrainTransform(c.SIZE_TRAIN, c.FLIP_PROB, c.PADDING, *erasing, jitter, patch)
    except InputError as error:
        raise InputError(f"INPUT: {error}") from error


def build_train_loader(
    cfg: CfgNode, records: Records, device: torch.device
) -> tuple[BatchLoader, PlanSampler]:
    """Builds the loader of the training split and the sampler that plans its epochs."""
    label_of = label_of_pid(records)
    labels = [label_of[record.pid] for record in records]
    seed, batch = derive_seed(cfg.SEED, SAMPLER), cfg.SOLVER.IMS_PER_BATCH
    place = (distributed.rank(), distributed.world_size())
    sampler: PlanSampler
    if cfg.DATALOADER.SAMPLER == "pk":
        k = cfg.DATALOADER.NUM_INSTANCES
        sampler = PKSampler(labels, batch // k, k, seed, *place)
    else:
        sampler = ShuffleSampler(len(labels), batch, seed, *place)
    transform, on_device = build_transform(cfg), augments_on_device(cfg, device)
    if cfg.DATALOADER.CACHE == "none":
        dataset = ImageDataset(records, transform, label_of)
        pin = device.type == "cuda"
        return train_loader(dataset, sampler, cfg.DATALOADER.NUM_WORKERS, pin), sampler
    pixels = build_store(cfg, records, cfg.INPUT.SIZE_TRAIN, "train")
    return StoreLoader(pixels, records, sampler, device, label_of, transform, on_device), sampler


def augments_on_device(cfg: CfgNode, device: torch.device) -> bool:
    """Says whether INPUT.DEVICE puts augmentation on the GPU of the model."""
    wanted = cfg.INPUT.DEVICE
    if wanted == "cuda" and device.type != "cuda":
        raise InputError(
            f"INPUT.DEVICE is cuda, but the model is on the {device.type}; set INPUT.DEVICE auto"
        )
    return wanted != "cpu" and device.type == "cuda"


def build_store(cfg: CfgNode, records: Records, size: tuple[int, int], split: str) -> np.ndarray:
    """Decodes a split as DATALOADER.CACHE says; (N, H, W, 3) uint8.

    Several processes share the pages of one file, so that a machine holds each image once.
    """
    paths = [record.path for record in records]
    threads = usable_workers(cfg.DATALOADER.NUM_WORKERS)
    if cfg.DATALOADER.CACHE == "ram" and not distributed.active():
        return store_in_memory(paths, size, threads, split)
    file = Path(cfg.OUTPUT_DIR) / "cache" / f"{split}_{size[0]}x{size[1]}.rows"
    return store_on_disk(paths, size, threads, split, file)


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
    plan = distributed.share(in_order(len(records), cfg.TEST.IMS_PER_BATCH))
    if cache == "none" or (cache == "ram" and once):
        dataset = ImageDataset(records, TestTransform(size))
        return eval_loader(dataset, plan, cfg.DATALOADER.NUM_WORKERS, device.type == "cuda")
    pixels = build_store(cfg, records, TestTransform(size).size, split)
    return StoreLoader(pixels, records, plan, device)


def build_eval_loaders(
    cfg: CfgNode, splits: Splits, device: torch.device, once: bool
) -> tuple[BatchLoader, BatchLoader]:
    """Builds the loaders of query and gallery; see :func:`build_eval_loader`."""
    return (
        build_eval_loader(cfg, splits.query, device, "query", once),
        build_eval_loader(cfg, splits.gallery, device, "gallery", once),
    )
