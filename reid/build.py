"""From config to objects: the only module besides the tools that reads cfg."""

import inspect
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor, nn
from yacs.config import CfgNode

from reid.config import (
    default_cfg,
    difference,
    dump,
    leaves,
    parse_dump,
    regularizer_of_stage,
)
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
from reid.engine import checkpoint as ckpt
from reid.engine import parallel
from reid.engine.optim import Schedule, build_optimizer, parameter_groups
from reid.engine.tester import TestResult, evaluate_retrieval
from reid.engine.trainer import Trainer
from reid.evaluation.features import Embedding
from reid.evaluation.retrieval import Expansion, ReRanking, Retrieval
from reid.losses import LOSSES, Criterion
from reid.modeling import BACKBONES, HEADS, REGULARIZERS, ReIDModel
from reid.modeling.backbones.pretrained import load_pretrained
from reid.robustness.adversarial_training import AdversarialTraining
from reid.utils import distributed
from reid.utils.batch import BatchLoader
from reid.utils.environment import check_compiler, choose_device, choose_precision
from reid.utils.errors import InputError
from reid.utils.registry import Registry
from reid.utils.seeding import derive_seed, fixed_torch_rng

_INIT, _VALIDATION, _SAMPLER, _TRAINER = range(4)  # what a seed is derived for


def make(registry: Registry[Any], name: str, section: CfgNode, where: str, **facts: Any) -> Any:
    """Builds component ``name`` from its node in ``section`` and the facts that it asks for.

    Raises:
        InputError: As the component raised it, with the config section in front.
    """
    component = registry[name]
    wanted = inspect.signature(component).parameters
    settings = {key.lower(): value for key, value in section.get(name.upper(), {}).items()}
    try:
        return component(**settings, **{k: v for k, v in facts.items() if k in wanted})
    except InputError as error:
        prefix = f"{where}.{name.upper()}: " if settings else ""
        raise InputError(f"{prefix}{error}") from error


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
        cut = cut_validation(splits.train, fraction, derive_seed(cfg.SEED, _VALIDATION))
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
    seed, batch = derive_seed(cfg.SEED, _SAMPLER), cfg.SOLVER.IMS_PER_BATCH
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


def build_model(cfg: CfgNode, num_classes: int, pretrained: bool) -> ReIDModel:
    """Builds the model on its device.

    Args:
        cfg: The config.
        num_classes: Number of train identities.
        pretrained: Whether to load the weights of MODEL.PRETRAIN_CHOICE; False where a checkpoint
            follows.
    """
    m, r = cfg.MODEL, cfg.MODEL.REGULARIZER
    with fixed_torch_rng(derive_seed(cfg.SEED, _INIT)):
        backbone = make(BACKBONES, m.BACKBONE.NAME, m.BACKBONE, "MODEL.BACKBONE")
        if pretrained:
            source = (m.BACKBONE.NAME, m.PRETRAIN_CHOICE, m.PRETRAIN_PATH)
            distributed.in_turn(lambda: load_pretrained(backbone, *source))
        facts = {"feat_dim": backbone.feat_dim, "num_classes": num_classes}
        head = make(HEADS, m.HEAD.NAME, m.HEAD, "MODEL.HEAD", **facts)
        regularizers = {
            stage: make(REGULARIZERS, name, r, "MODEL.REGULARIZER")
            for stage, name in regularizer_of_stage(cfg).items()
        }
        model = ReIDModel(backbone, head, regularizers, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
    device = choose_device(m.DEVICE)
    return model.to(device).to(memory_format=torch.channels_last)


def build_criterion(cfg: CfgNode, num_classes: int, feat_dim: int) -> Criterion:
    """Builds the weighted sum of LOSS.NAMES."""
    facts = {"num_classes": num_classes, "feat_dim": feat_dim}
    with fixed_torch_rng(derive_seed(cfg.SEED, _INIT, 1)):
        losses = {name: make(LOSSES, name, cfg.LOSS, "LOSS", **facts) for name in cfg.LOSS.NAMES}
    return Criterion(losses, cfg.LOSS.WEIGHTS).to(choose_device(cfg.MODEL.DEVICE))


def build_embedding(cfg: CfgNode, model: nn.Module) -> Embedding:
    """Builds what retrieval compares, as TEST.* says."""
    t = cfg.TEST
    precision = choose_precision(t.PRECISION, choose_device(cfg.MODEL.DEVICE))
    return Embedding(model, t.NECK_FEAT, t.FEAT_NORM, t.FLIP, precision)


def build_perturb(cfg: CfgNode, model: nn.Module) -> Callable[[Tensor, int], Tensor] | None:
    """Builds adversarial training, or None where SOLVER.ADVERSARIAL.ENABLED is False.

    What it attacks is the unit-length ``feat_bn`` in the precision of training, of ``model`` itself
    and not of what averages gradients over processes.
    """
    a = cfg.SOLVER.ADVERSARIAL
    if not a.ENABLED:
        return None
    precision = choose_precision(cfg.SOLVER.PRECISION, choose_device(cfg.MODEL.DEVICE))
    adversary = AdversarialTraining(a.EPS_255, a.STEP, a.STEPS, a.SHARE)
    return partial(adversary, Embedding(model, dtype=precision))


def build_retrieval(cfg: CfgNode, num_query: int, num_gallery: int) -> Retrieval:
    """Builds every ranking that TEST.* asks for; checks now what so many images do not allow."""
    t, r, aqe = cfg.TEST, cfg.TEST.RERANK, cfg.TEST.AQE
    rerank = ReRanking(r.K1, r.K2, r.LAMBDA_VALUE) if t.RE_RANKING else None
    expansion = Expansion(aqe.K, aqe.ALPHA) if aqe.ENABLED else None
    for key, part in (
        ("TEST.RERANK", Retrieval(rerank=rerank)),
        ("TEST.AQE", Retrieval(expansion=expansion)),
    ):
        try:
            part.check(num_query, num_gallery)
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    return Retrieval(t.METRIC, t.CHUNK, rerank, expansion)


def evaluate(
    cfg: CfgNode,
    embed: nn.Module,
    splits: Splits,
    how: Retrieval,
    save: Path | None = None,
) -> TestResult:
    """Ranks the gallery of ``splits`` for its query; each process extracts a part of both."""
    device = choose_device(cfg.MODEL.DEVICE)
    query, gallery = build_eval_loaders(cfg, splits, device, once=True)
    return evaluate_retrieval(embed, query, gallery, device, how, save)


def build_trainer(cfg: CfgNode, logger: logging.Logger) -> Trainer:
    """Builds a run, ready to ``fit`` or to ``resume``."""
    device = choose_device(cfg.MODEL.DEVICE)
    data = split_validation(cfg, load_splits(cfg, True, logger), logger)
    loader, sampler = build_train_loader(cfg, data.train, device)
    pids = sorted(label_of_pid(data.train))
    model = build_model(cfg, len(pids), pretrained=True)
    if cfg.MODEL.SYNC_BN:
        parallel.sync_batch_norm(model, device)
    s = cfg.SOLVER
    if s.COMPILE:
        check_compiler(device)
        model.compile()
    groups = parameter_groups(
        model, s.BASE_LR, s.WEIGHT_DECAY, s.BIAS_LR_FACTOR, s.WEIGHT_DECAY_BIAS
    )
    schedule = Schedule(
        s.SCHEDULE,
        s.MAX_EPOCHS,
        s.WARMUP_EPOCHS,
        s.WARMUP_FACTOR,
        s.STEPS,
        s.GAMMA,
        s.MIN_LR_FACTOR,
    )
    embed = build_embedding(cfg, model)
    once = not 0 < s.EVAL_PERIOD < s.MAX_EPOCHS
    query, gallery = build_eval_loaders(cfg, data, device, once)

    def summary() -> dict[str, float]:
        how = Retrieval(cfg.TEST.METRIC, cfg.TEST.CHUNK)
        ranking = evaluate_retrieval(embed, query, gallery, device, how).rankings.get("plain")
        names = ("mAP", "rank1")
        values = [0.0 if ranking is None else ranking.summary()[name] for name in names]
        return dict(zip(names, distributed.from_main(values), strict=True))

    return Trainer(
        model=model,
        criterion=build_criterion(cfg, len(pids), model.feat_dim),
        optimizer=build_optimizer(s.OPTIMIZER_NAME, groups, s.MOMENTUM),
        schedule=schedule,
        loader=loader,
        sampler=sampler,
        evaluate=summary,
        logger=logger,
        output_dir=Path(cfg.OUTPUT_DIR),
        config=dump(cfg),
        pids=pids,
        device=device,
        seed=derive_seed(cfg.SEED, _TRAINER),
        max_epochs=s.MAX_EPOCHS,
        precision=choose_precision(s.PRECISION, device),
        clip_norm=s.CLIP_NORM,
        accumulate=s.ACCUMULATE,
        eval_period=s.EVAL_PERIOD,
        checkpoint_period=s.CHECKPOINT_PERIOD,
        log_period=s.LOG_PERIOD,
        perturb=build_perturb(cfg, model),
    )


# What may differ between the run that stopped and the one that goes on with it.
_FREE_ON_RESUME = (
    "OUTPUT_DIR",
    "TEST.",
    "ATTACK.",
    "MODEL.DEVICE",
    "DATASETS.ROOT_DIR",
    "DATALOADER.NUM_WORKERS",
    "DATALOADER.CACHE",
    "INPUT.DEVICE",
    "SOLVER.EVAL_PERIOD",
    "SOLVER.CHECKPOINT_PERIOD",
    "SOLVER.LOG_PERIOD",
)
# What may differ between the machines of one run.
_OWN_TO_A_MACHINE = ("DATASETS.ROOT_DIR", "MODEL.PRETRAIN_PATH", "DATALOADER.NUM_WORKERS")
# What the weights of a checkpoint mean nothing without.
_FIXED_AT_TEST = ("MODEL.BACKBONE.", "MODEL.HEAD.", "INPUT.PIXEL_")


def check_alike(cfg: CfgNode) -> None:
    """Raises InputError if the processes of this run were given different configs."""
    shared = [(k, v) for k, v in leaves(cfg) if k not in _OWN_TO_A_MACHINE]
    distributed.check_same("the config", repr(shared))


def check_resumable(cfg: CfgNode, path: Path, logger: logging.Logger) -> None:
    """Raises InputError if ``path`` was trained under settings that make it another run.

    A longer MAX_EPOCHS is allowed where the learning rate of past epochs does not hang on it.
    """
    saved = parse_dump(ckpt.load(path)["config"])
    unset = dict(leaves(parse_dump(dump(default_cfg()))))
    longer = "SOLVER.MAX_EPOCHS" if cfg.SOLVER.SCHEDULE == "multistep" else ()
    for key, now, then in difference(parse_dump(dump(cfg)), saved):
        if then is None and now == unset[key]:
            continue  # a key younger than the checkpoint, at the default that does what was done
        if key.startswith(_FREE_ON_RESUME) or key == longer:
            logger.info(f"resuming with {key} {now}; the run began with {then}")
        else:
            raise InputError(
                f"{path} was trained with {key} {then}, this config says {now}: that is another"
                " run; set it back, or give it an OUTPUT_DIR of its own"
            )


def load_trained(cfg: CfgNode, path: Path, logger: logging.Logger) -> ReIDModel:
    """Builds the model of a checkpoint and fills it; the training data is not needed.

    Raises:
        InputError: If the checkpoint's network is not the one that the config describes.
    """
    checkpoint = ckpt.load(path)
    names = (cfg.MODEL.BACKBONE.NAME.upper(), cfg.MODEL.HEAD.NAME.upper())
    for key, now, then in difference(parse_dump(dump(cfg)), parse_dump(checkpoint["config"])):
        parts = key.split(".")
        if key.startswith(_FIXED_AT_TEST) and (len(parts) < 4 or parts[2] in names):
            raise InputError(
                f"{path} was trained with {key} {then}, this config says {now}; use the config"
                " that the checkpoint was trained with"
            )
        if key == "INPUT.SIZE_TEST":
            logger.warning(f"warning: {key} is {now}, the run that made {path} used {then}")
    model = build_model(cfg, len(checkpoint["pids"]), pretrained=False)
    ckpt.load_model(model, checkpoint, path)
    logger.info(f"weights of {path}, epoch {checkpoint['epoch']}, commit {checkpoint['commit']}")
    return model
