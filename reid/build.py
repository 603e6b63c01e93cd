"""From config to objects: the only module besides the tools that reads cfg."""

import inspect
import logging
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import nn
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from reid.config import difference, dump, leaves, parse_dump
from reid.data.datasets import DATASETS, PUBLISHED
from reid.data.loaders import ImageDataset, eval_loader, train_loader
from reid.data.records import (
    Records,
    Splits,
    cut_validation,
    describe_counts,
    label_of_pid,
)
from reid.data.sampler import PKSampler, PlanSampler, ShuffleSampler
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
from reid.utils import distributed
from reid.utils.batch import Batch
from reid.utils.environment import choose_device, choose_precision
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


def build_train_loader(
    cfg: CfgNode, records: Records, device: torch.device
) -> tuple[DataLoader[Batch], PlanSampler]:
    """Builds the loader of the training split and the sampler that plans its epochs."""
    label_of = label_of_pid(records)
    labels = [label_of[record.pid] for record in records]
    c, seed, batch = cfg.INPUT, derive_seed(cfg.SEED, _SAMPLER), cfg.SOLVER.IMS_PER_BATCH
    place = (distributed.rank(), distributed.world_size())
    sampler: PlanSampler
    if cfg.DATALOADER.SAMPLER == "pk":
        k = cfg.DATALOADER.NUM_INSTANCES
        sampler = PKSampler(labels, batch // k, k, seed, *place)
    else:
        sampler = ShuffleSampler(len(labels), batch, seed, *place)
    try:
        transform = TrainTransform(
            c.SIZE_TRAIN,
            c.FLIP_PROB,
            c.PADDING,
            c.ERASING_PROB,
            c.ERASING_AREA,
            c.ERASING_ASPECT,
            c.ERASING_FILL,
        )
    except InputError as error:
        raise InputError(f"INPUT: {error}") from error
    dataset = ImageDataset(records, transform, label_of)
    pin = device.type == "cuda"
    return train_loader(dataset, sampler, cfg.DATALOADER.NUM_WORKERS, pin), sampler


def build_eval_loader(cfg: CfgNode, records: Records, device: torch.device) -> DataLoader[Batch]:
    """Builds a loader that yields every record once, in order."""
    dataset = ImageDataset(records, TestTransform(cfg.INPUT.SIZE_TEST))
    workers, pin = cfg.DATALOADER.NUM_WORKERS, device.type == "cuda"
    return eval_loader(dataset, cfg.TEST.IMS_PER_BATCH, workers, pin)


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
        stages = r.STAGES if r.NAME != "none" else ()
        regularizers = {s: make(REGULARIZERS, r.NAME, r, "MODEL.REGULARIZER") for s in stages}
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
    shares = [
        tuple(distributed.share(part, cfg.TEST.IMS_PER_BATCH))
        for part in (splits.query, splits.gallery)
    ]
    query, gallery = (build_eval_loader(cfg, share, device) for share in shares)
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

    def summary() -> dict[str, float]:
        how = Retrieval(cfg.TEST.METRIC, cfg.TEST.CHUNK)
        ranking = evaluate(cfg, embed, data, how).rankings.get("plain")
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
        eval_period=s.EVAL_PERIOD,
        checkpoint_period=s.CHECKPOINT_PERIOD,
        log_period=s.LOG_PERIOD,
    )


# What may differ between the run that stopped and the one that goes on with it.
_FREE_ON_RESUME = (
    "OUTPUT_DIR",
    "TEST.",
    "MODEL.DEVICE",
    "DATASETS.ROOT_DIR",
    "DATALOADER.NUM_WORKERS",
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
    longer = "SOLVER.MAX_EPOCHS" if cfg.SOLVER.SCHEDULE == "multistep" else ()
    for key, now, then in difference(parse_dump(dump(cfg)), saved):
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
