"""Whether a checkpoint is of this config, and a model filled from one."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from reid.builders.model import build_model
from reid.config import (
    default_cfg,
    difference,
    dump,
    leaves,
    parse_dump,
)
from reid.engine import checkpoint as ckpt
from reid.modeling import ReIDModel
from reid.utils import distributed
from reid.utils.errors import InputError

# What may differ between the run that stopped and the one that goes on with it.
_FREE_ON_RESUME = (
    "IMPORTS",
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
_OWN_TO_A_MACHINE = (
    "IMPORTS",
    "DATASETS.ROOT_DIR",
    "MODEL.PRETRAIN_PATH",
    "DATALOADER.NUM_WORKERS",
)


# Keys without which the weights of a checkpoint mean nothing.
_FIXED_AT_TEST = ("MODEL.BACKBONE.", "MODEL.POOLING.", "MODEL.HEAD.", "INPUT.PIXEL_")


def check_alike(cfg: CfgNode) -> None:
    """Raises InputError if the processes of this run were given different configs."""
    shared = [(k, v) for k, v in leaves(cfg) if k not in _OWN_TO_A_MACHINE]
    distributed.check_same("the config", repr(shared))


def check_resumable(cfg: CfgNode, path: Path, logger: logging.Logger) -> None:
    """Raises InputError if ``path`` was trained under settings that make it another run.

    A longer MAX_EPOCHS is allowed where the learning rate of past epochs does not depend on it.

    Args:
        cfg: The config of the run that goes on.
        path: Its last checkpoint.
        logger: Logger that is told what differs and may differ.
    """
    longer = "SOLVER.MAX_EPOCHS" if cfg.SOLVER.SCHEDULE == "multistep" else ()
    for key, now, then in _changed(cfg, ckpt.load(path)):
        if key.startswith(_FREE_ON_RESUME) or key == longer:
            logger.info(f"resuming with {key} {now}; the run began with {then}")
        else:
            raise InputError(
                f"{path} was trained with {key} {then}, this config says {now}: that is another"
                " run; set it back, or give it an OUTPUT_DIR of its own"
            )


def _changed(cfg: CfgNode, checkpoint: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yields (key, value now, value in the checkpoint) where they mean different things."""
    defaults = dict(leaves(parse_dump(dump(default_cfg()))))
    for key, now, then in difference(parse_dump(dump(cfg)), parse_dump(checkpoint["config"])):
        # A key younger than the checkpoint, at the default, does what was done.
        if then is not None or now != defaults.get(key):
            yield key, now, then


def load_trained(cfg: CfgNode, path: Path, logger: logging.Logger) -> ReIDModel:
    """Builds the model of a checkpoint; see :func:`load_with_config`.

    Args:
        cfg: The config.
        path: The checkpoint.
        logger: Logger that is told what was loaded.
    """
    return load_with_config(cfg, path, logger)[0]


def load_with_config(cfg: CfgNode, path: Path, logger: logging.Logger) -> tuple[ReIDModel, CfgNode]:
    """Builds the model of a checkpoint and fills it; the training data is not needed.

    Args:
        cfg: The config.
        path: The checkpoint.
        logger: Logger that is told what was loaded.

    Returns:
        The model, and the config that it was trained with.

    Raises:
        InputError: If the checkpoint's network is not the one that the config describes.
    """
    checkpoint = ckpt.load(path)
    m = cfg.MODEL
    names = {section.NAME.upper() for section in (m.BACKBONE, m.POOLING, m.HEAD)}
    for key, now, then in _changed(cfg, checkpoint):
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
    return model, parse_dump(checkpoint["config"])
