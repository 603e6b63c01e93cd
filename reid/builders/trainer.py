"""A run, ready to fit or to resume."""

import contextlib
import importlib.metadata
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from yacs.config import CfgNode

from reid.builders.common import TRAINER, build_device
from reid.builders.data import build_train_loader
from reid.builders.datasets import load_splits, split_validation, write_drawn
from reid.builders.evaluation import check_matched, same_pictures
from reid.builders.model import (
    build_criterion,
    build_model,
    build_perturb,
    pixel_remark,
)
from reid.builders.training_evaluation import TrainingEvaluation
from reid.config import config_errors, default_cfg, difference, dump, imported_files
from reid.data.cache.loader import CachedLoader
from reid.data.fingerprint import names_digest, pixels_digest
from reid.data.loaders import usable_workers
from reid.data.reading import unreadable
from reid.data.records import SPLITS, Splits, label_of_pid
from reid.data.samplers import PlanSampler
from reid.engine import parallel
from reid.engine.depth import block_depths
from reid.engine.ema import averaged_model
from reid.engine.optim import Factors, Schedule, build_optimizer, parameter_groups
from reid.engine.trainer import Trainer
from reid.losses import Criterion
from reid.modeling import PROVIDERS, ReIDModel
from reid.utils import distributed
from reid.utils.batch import BatchLoader
from reid.utils.code_state import code_state
from reid.utils.environment import check_compiler, choose_precision, run_facts
from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed


def build_trainer(cfg: CfgNode, logger: logging.Logger) -> Trainer:
    """Builds a run, ready to ``fit`` or to ``resume``.

    Args:
        cfg: The config.
        logger: Logger of the run.
    """
    device = build_device(cfg)
    splits = load_splits(cfg, True, logger)
    write_drawn(cfg, splits, logger)
    data = split_validation(cfg, splits, logger)
    if not data.train:
        raise InputError(
            f"DATASETS.NAMES {', '.join(cfg.DATASETS.NAMES)}: there is no image to train on"
        )
    if cfg.SOLVER.EVAL_PERIOD >= 0:
        _check_evaluation(cfg, data, logger)
    pids = sorted(label_of_pid(data.train))
    if len(pids) == 1:
        logger.warning("warning: the training split holds one identity: there is nothing to learn")
    model = build_model(cfg, len(pids), pretrained=True)
    if remark := pixel_remark(cfg, model):
        logger.warning(f"warning: {remark}")
    # Behind the model: what is wrong with it is said before all images are decoded.
    loader, sampler = build_train_loader(cfg, data.train, device)
    if cfg.MODEL.SYNC_BN:
        with config_errors("MODEL.SYNC_BN", mend="set MODEL.SYNC_BN False, or MODEL.DEVICE cuda"):
            parallel.sync_batch_norm(model, device)
    s = cfg.SOLVER
    ema = _build_average(cfg, model, -(-len(loader) // s.ACCUMULATE), logger)
    if s.COMPILE:
        with config_errors("SOLVER.COMPILE", mend="or set SOLVER.COMPILE False"):
            check_compiler(device)
        model.compile()
        logger.info("SOLVER.COMPILE: the first step compiles the network, a minute or more")
    criterion = build_criterion(cfg, len(pids), model.feat_dim)
    label_of = label_of_pid(data.train)
    check_identities(criterion, sampler, [label_of[record.pid] for record in data.train], cfg)
    evaluated = model if ema is None else ema.module
    precision = choose_precision(s.PRECISION, device)
    evaluation = None
    if s.EVAL_PERIOD >= 0:
        once = _evaluates_once(cfg)
        evaluation = TrainingEvaluation(cfg, data, device, evaluated, logger, once)
    return Trainer(
        model=model,
        criterion=criterion,
        optimizer=make_optimizer(cfg, model, criterion, logger),
        schedule=_build_schedule(cfg),
        loader=loader,
        sampler=sampler,
        evaluate=evaluation,
        looks=None if evaluation is None else evaluation.looks,
        hparams=_hparams(cfg),
        logger=logger,
        output_dir=Path(cfg.OUTPUT_DIR),
        config=dump(cfg),
        pids=pids,
        device=device,
        seed=derive_seed(cfg.SEED, TRAINER),
        max_epochs=s.MAX_EPOCHS,
        precision=precision,
        clip_norm=s.CLIP_NORM,
        accumulate=s.ACCUMULATE,
        eval_period=s.EVAL_PERIOD,
        checkpoint_period=s.CHECKPOINT_PERIOD,
        checkpoint_steps=s.CHECKPOINT_STEPS,
        checkpoint_minutes=s.CHECKPOINT_MINUTES,
        keep_last=s.KEEP_LAST,
        log_period=s.LOG_PERIOD,
        ema=ema,
        freeze_epochs=s.FREEZE_EPOCHS,
        perturb=build_perturb(cfg, model),
        file_of=lambda index: data.train[index].path,
        code=code_state(imported_files(cfg.IMPORTS)),
        facts={
            **run_facts(device, precision),
            **_network_facts(cfg.MODEL.BACKBONE.NAME),
            "data": _data_facts(data, loader),
        },
    )


def _network_facts(name: str) -> dict[str, str]:
    """Returns the version of the package that a backbone's code is from, if it is a provider's."""
    provider = name.partition(":")[0]
    if provider not in PROVIDERS:
        return {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return {"network": f"{provider} {importlib.metadata.version(provider)}"}
    return {}


def _build_average(
    cfg: CfgNode, model: nn.Module, updates: int, logger: logging.Logger
) -> AveragedModel | None:
    """Builds the average of the weights, or None where SOLVER.EMA_DECAY is 0.

    Args:
        cfg: The config.
        model: The model with its starting weights, before it is compiled.
        updates: Number of updates in an epoch.
        logger: Logger that is told of the average.
    """
    decay = cfg.SOLVER.EMA_DECAY
    if not decay:
        return None
    span, whole = round(1 / (1 - decay)), updates * cfg.SOLVER.MAX_EPOCHS
    logger.info(
        f"weights are averaged over about {span} updates (SOLVER.EMA_DECAY {decay}): the average is"
        " evaluated, and is the model of the checkpoints"
    )
    if 2 * span > whole:
        logger.warning(
            f"warning: SOLVER.EMA_DECAY {decay} averages over about {span} updates, and the run has"
            f" {whole}: much of the average are weights of its begin; lower it"
        )
    with config_errors("SOLVER"):
        return averaged_model(model, decay)


def make_optimizer(
    cfg: CfgNode, model: ReIDModel, criterion: Criterion, logger: logging.Logger
) -> torch.optim.Optimizer:
    """Builds the optimizer with the rates and decays of SOLVER.

    Args:
        cfg: The config.
        model: The model on its device.
        criterion: The losses, some of which have parameters of their own.
        logger: Logger that is told what LAYER_DECAY finds in the backbone.
    """
    s = cfg.SOLVER
    if s.LAYER_DECAY != 1:
        _, count = block_depths(model.backbone)
        name = cfg.MODEL.BACKBONE.NAME
        if count:
            logger.info(
                f"SOLVER.LAYER_DECAY {s.LAYER_DECAY}: {name} has {count} blocks; the rate of the"
                f" first is {s.LAYER_DECAY**count:.2g} times that of the head"
            )
        else:
            logger.warning(
                f"warning: SOLVER.LAYER_DECAY {s.LAYER_DECAY} has no effect: {name} has no sequence"
                " of blocks"
            )
    factors = Factors(s.BACKBONE_LR_FACTOR, s.HEAD_LR_FACTOR, s.LAYER_DECAY, s.NORM_DECAY_FACTOR)
    rates = (s.BASE_LR, s.WEIGHT_DECAY, s.BIAS_LR_FACTOR, s.WEIGHT_DECAY_BIAS)
    groups = parameter_groups(model, *rates, criterion, s.LOSS_LR_FACTOR, factors)
    return build_optimizer(s.OPTIMIZER_NAME, groups, s.MOMENTUM, s.NESTEROV)


def _build_schedule(cfg: CfgNode) -> Schedule:
    s = cfg.SOLVER
    return Schedule(
        s.SCHEDULE,
        s.MAX_EPOCHS,
        s.WARMUP_EPOCHS,
        s.WARMUP_FACTOR,
        s.STEPS,
        s.GAMMA,
        s.MIN_LR_FACTOR,
        s.DELAY_EPOCHS,
    )


def _evaluates_once(cfg: CfgNode) -> bool:
    return not 0 < cfg.SOLVER.EVAL_PERIOD < cfg.SOLVER.MAX_EPOCHS


def _check_evaluation(cfg: CfgNode, data: Splits, logger: logging.Logger) -> None:
    """Checks before the first step what would otherwise end the first evaluation.

    Args:
        cfg: The config.
        data: Its query and gallery are evaluated while training.
        logger: Logger that is told of queries without a match.

    Raises:
        InputError: No query has a match, or an image cannot be read.
    """
    instead = "or set SOLVER.EVAL_PERIOD -1 to train without evaluation"
    pictures = same_pictures(cfg, data.query, data.gallery)
    with config_errors("", mend=instead):
        matched = check_matched(cfg, data.query, data.gallery, pictures)
    number = len(data.query)
    if matched < number:
        logger.warning(
            f"warning: {number - matched} of {number} queries have no match in the gallery, and no"
            " evaluation counts them"
        )
    decoded = cfg.DATALOADER.CACHE == "disk" or not _evaluates_once(cfg)
    if cfg.DATALOADER.ON_ERROR == "skip" or (cfg.DATALOADER.CACHE != "none" and decoded):
        return  # every image is decoded before the first step anyway
    paths = [record.path for record in (*data.query, *data.gallery)]
    threads = usable_workers(cfg.DATALOADER.NUM_WORKERS)
    found = unreadable(distributed.local_part(paths), threads, "query and gallery")
    if found:
        (path, reason), more = found[0], len(found) - 1
        others = f" (and {more} more images)" if more else ""
        raise InputError(
            f"{path}: {reason}{others}; mend the file, set DATALOADER.ON_ERROR skip, {instead}"
        )


def _hparams(cfg: CfgNode) -> dict[str, Any]:
    """Returns the settings that are not at their defaults, as TensorBoard takes them."""
    changed = difference(cfg, default_cfg())
    plain = (bool, int, float, str)
    return {
        key: value if isinstance(value, plain) else str(value)
        for key, value, _ in changed
        if key not in ("OUTPUT_DIR", "DATASETS.ROOT_DIR", "IMPORTS")
    }


def check_identities(
    criterion: Criterion, sampler: PlanSampler, labels: Sequence[int], cfg: CfgNode
) -> None:
    """Checks that some batch holds two identities, if a loss compares identities.

    Args:
        criterion: The losses.
        sampler: Its plan of the first epoch is looked at.
        labels: (N,) label of each training image.
        cfg: The config, for the message.

    Raises:
        InputError: A loss has ``needs_pairs``, and each batch holds one identity.
    """
    for name, loss in criterion.losses.items():
        if not getattr(loss, "needs_pairs", False):
            continue
        ranks = range(distributed.world_size())
        together = [ranks] if getattr(loss, "gather", False) else [[rank] for rank in ranks]
        steps = range(1, len(sampler) + 1)
        batches = (
            [i for r in group for i in sampler.images(n, r)] for n in steps for group in together
        )
        if all(len({labels[i] for i in batch}) < 2 for batch in batches):
            batch, k = cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCES
            raise InputError(
                f"LOSS.NAMES: {name} compares different identities, and each batch holds one"
                f" (SOLVER.IMS_PER_BATCH {batch}, DATALOADER.NUM_INSTANCES {k}); set"
                f" SOLVER.IMS_PER_BATCH {2 * k} or more, or leave {name} out"
            )


def _data_facts(data: Splits, loader: BatchLoader) -> dict[str, str]:
    """Returns digests of the images: of names and sizes, and of what was decoded already."""
    splits = zip(SPLITS, (data.train, data.query, data.gallery), strict=True)
    facts = {name: names_digest(records) for name, records in splits}
    if isinstance(loader, CachedLoader):
        facts["pixels"] = pixels_digest(loader.pixels[i] for i in range(len(data.train)))
    return facts
