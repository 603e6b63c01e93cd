"""Whether a checkpoint is of this config, and a model filled from one."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from reid.builders.model import build_model
from reid.builders.weights import load_any
from reid.config import (
    data_paths,
    default_cfg,
    difference,
    dump,
    leaves,
    load_saved,
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
    "DATASETS.TESTS",
    "DATALOADER.NUM_WORKERS",
    "DATALOADER.CACHE",
    "INPUT.DEVICE",
    "SOLVER.EVAL_PERIOD",
    "SOLVER.CHECKPOINT_",
    "SOLVER.KEEP_LAST",
    "SOLVER.LOG_PERIOD",
)


# What may differ between the machines of one run.
_OWN_TO_A_MACHINE = (
    "IMPORTS",
    "MODEL.PRETRAIN_PATH",
    "DATALOADER.NUM_WORKERS",
)


# Keys without which the weights of a checkpoint mean nothing.
_FIXED_AT_TEST = ("MODEL.BACKBONE.", "MODEL.POOLING.", "MODEL.HEAD.", "INPUT.PIXEL_")


# What other projects compare, of which a checkpoint of ours says nothing.
_COMPARED = ("TEST.NECK_FEAT", "TEST.FEAT_NORM", "TEST.FLIP")


def check_alike(cfg: CfgNode) -> None:
    """Raises InputError if the processes of this run were given different configs."""
    own = (*_OWN_TO_A_MACHINE, *data_paths())
    shared = [(k, v) for k, v in leaves(cfg) if k not in own]
    distributed.check_same("the config", repr(shared))


def check_resumable(
    cfg: CfgNode,
    checkpoint: Mapping[str, Any],
    path: Path,
    logger: logging.Logger,
    accept: bool = False,
) -> list[str]:
    """Raises InputError if a checkpoint was trained under settings that make it another run.

    A longer MAX_EPOCHS is allowed where the learning rate of past epochs does not depend on it.

    Args:
        cfg: The config of the run that goes on.
        checkpoint: Content of its last checkpoint.
        path: The file.
        logger: Logger that is told what differs and may differ.
        accept: Go on knowingly: what would be refused is logged.

    Returns:
        What differs and was accepted.
    """
    longer = "SOLVER.MAX_EPOCHS" if cfg.SOLVER.SCHEDULE == "multistep" else ()
    accepted = []
    for key, now, then in _changed(cfg, checkpoint, path):
        if key.startswith((*_FREE_ON_RESUME, *data_paths())) or key == longer:
            logger.info(f"resuming with {key} {now}; the run began with {then}")
        else:
            difference = f"{key} {then}, this config says {now}"
            accepted.append(_refuse(difference, path, logger, accept, "set it back"))
    return accepted


# What a number measured while training depends on, and best.pth with it.
_MEASURED_BY = (
    *("TEST.PROTOCOL", "TEST.NECK_FEAT", "TEST.FEAT_NORM", "TEST.FLIP"),
    *("INPUT.SIZE_TEST", "DATASETS.TESTS"),
)


def measured_otherwise(cfg: CfgNode, checkpoint: Mapping[str, Any], path: Path) -> list[str]:
    """Returns the keys for which mAP of this run does not compare with that of a checkpoint.

    Args:
        cfg: The config of the run that goes on.
        checkpoint: Content of its last checkpoint.
        path: The file.
    """
    return [key for key, _, _ in _changed(cfg, checkpoint, path) if key in _MEASURED_BY]


# What differs in the last digits, or in the choice of best.pth, and does not make another run.
_DIGITS = {
    "torch": "torch",
    "numpy": "numpy",
    "network": "the network of",
    "threads": "a number of threads of",
    "device": "the processor",
    "query": "query images of digest",
    "gallery": "gallery images of digest",
}
# What makes another run.
_ANOTHER = {"precision": "precision", "train": "training images of digest"}


def check_same_run(
    now: Mapping[str, Any],
    then: Mapping[str, Any],
    path: Path,
    logger: logging.Logger,
    accept: bool = False,
) -> list[str]:
    """Compares machine, code and data with those that a checkpoint was trained with.

    Args:
        now: ``facts`` and ``code`` of the run that goes on.
        then: The checkpoint, which has the same keys; older ones have none, and nothing to compare.
        path: The file.
        logger: Logger that is told what changes the last digits.
        accept: Go on knowingly: what would be refused is logged.

    Returns:
        What differs and was accepted.

    Raises:
        InputError: Data, precision or imported parts are not the same.
    """
    new, old = _flat(now), _flat(then)
    for key, what in _DIGITS.items():
        if key in old and old[key] != new.get(key):
            logger.warning(
                f"warning: {path} was trained with {what} {old[key]}, now it is {new[key]}: last"
                " digits will differ from those of a run that never stopped"
            )
    if old.get("package", new["package"]) != new["package"]:
        logger.warning(
            f"warning: {path} was trained by other code of reid (commit {old.get('commit')}, now"
            f" {new['commit']}); what that changes is not known"
        )
    differing = [
        f"{what} {old[key]}, now it is {new[key]}"
        for key, what in _ANOTHER.items()
        if key in old and old[key] != new[key]
    ]
    # Pixels are compared where both runs decoded all images, by the same decoder.
    then_pixels, now_pixels = old.get("pixels"), new.get("pixels")
    comparable = then_pixels and now_pixels and old.get("pillow") == new["pillow"]
    if comparable and then_pixels != now_pixels:
        differing.append(
            f"training images whose pixels have digest {then_pixels}, now it is {now_pixels}"
        )
    for name, digest in new["imports"].items():
        if old.get("imports", {}).get(name, digest) != digest:
            differing.append(f"another content of {name}")
    return [_refuse(text, path, logger, accept, "bring it back") for text in differing]


def _flat(run: Mapping[str, Any]) -> dict[str, Any]:
    """Puts what is known of a run's code, machine and data on one level."""
    facts, code = run.get("facts", {}), run.get("code", {})
    return {**facts, **facts.get("data", {}), **code}


def _refuse(difference: str, path: Path, logger: logging.Logger, accept: bool, mend: str) -> str:
    """Raises InputError for a difference, or logs it if it is accepted; returns it."""
    text = f"{path} was trained with {difference}"
    if not accept:
        raise InputError(
            f"{text}: that is another run; {mend}, give it an OUTPUT_DIR of its own, or go on"
            " knowingly with --accept-changes"
        )
    logger.warning(f"warning: {text}; accepted, and recorded in the checkpoints")
    return difference


def _changed(
    cfg: CfgNode, checkpoint: Mapping[str, Any], path: Path
) -> Iterator[tuple[str, Any, Any]]:
    """Yields (key, value now, value in the checkpoint) where they mean different things."""
    defaults = dict(leaves(parse_dump(dump(default_cfg()))))
    for key, now, then in difference(parse_dump(dump(cfg)), _config_of(checkpoint, path)):
        # A key younger than the checkpoint, at the default, does what was done.
        if then is not None or now != defaults.get(key):
            yield key, now, then


def _config_of(checkpoint: Mapping[str, Any], path: Path) -> CfgNode:
    try:
        return parse_dump(checkpoint["config"])
    # A crafted text fails in many ways: YAMLError, TypeError, AttributeError, RecursionError, ...
    except Exception as error:
        raise InputError(
            f"checkpoint {path} is damaged: its config cannot be read ({type(error).__name__})"
        ) from error


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
    checkpoint, family = load_any(path)
    model = filled(cfg, checkpoint, path, logger, family)
    return model, parse_dump(checkpoint["config"])


def filled(
    cfg: CfgNode,
    checkpoint: dict[str, Any],
    path: Path,
    logger: logging.Logger,
    family: str = "",
) -> ReIDModel:
    """Builds the model of a config and fills it with a checkpoint.

    Args:
        cfg: The config.
        checkpoint: Content of the file, from :func:`reid.builders.weights.load_any`.
        path: The file.
        logger: Logger that is told what was loaded.
        family: Family of a file of another project; "" if it is ours.

    Raises:
        InputError: If the checkpoint's network is not the one that the config describes.
    """
    m = cfg.MODEL
    sections = (m.BACKBONE, m.POOLING, m.HEAD)
    # Of timm:resnet50 the settings stand under timm.
    names = {section.NAME.partition(":")[0].upper() for section in sections}
    for key, now, then in _changed(cfg, checkpoint, path):
        parts = key.split(".")
        if key.startswith(_FIXED_AT_TEST) and (len(parts) < 4 or parts[2] in names):
            raise InputError(_other_network(path, key, (now, then), family))
        if key == "INPUT.SIZE_TEST":
            logger.warning(f"warning: {key} is {now}, the run that made {path} used {then}")
        elif family and key in _COMPARED:
            logger.warning(f"warning: {key} is {now}, and {family} compares with {then}")
    model = build_model(cfg, len(checkpoint["pids"]), pretrained=False)
    ckpt.load_model(model, checkpoint, path)
    if family:
        logger.info(f"weights of {path}, a file of {family}; `reid convert` tells what is mapped")
    else:
        commit = checkpoint["commit"]
        logger.info(f"weights of {path}, epoch {checkpoint['epoch']}, commit {commit}")
    return model


def weight_file(path: Path) -> Path:
    """Returns the checkpoint that is meant: of the folder of a run best.pth, else last.pth."""
    files = [path / name for name in ("best.pth", "last.pth")] if path.is_dir() else []
    return next((file for file in files if file.is_file()), path)


def carried_config(
    checkpoint: Mapping[str, Any],
    path: Path,
    overrides: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
) -> CfgNode:
    """Returns the config that a checkpoint carries, with settings that override it.

    Args:
        checkpoint: Content of the file.
        path: The file.
        overrides: ``[KEY, VALUE, ...]``.
        wanted: Beginnings of the keys that are read of it; None reads all.
    """
    return load_saved(_config_of(checkpoint, path), str(path), overrides, wanted)


def _other_network(path: Path, key: str, values: tuple[Any, Any], family: str) -> str:
    """Says that weights are of another network than the config's.

    Args:
        path: The file.
        key: The key that differs.
        values: What this config says, and what the weights need.
        family: Family of the file; "" if it is a checkpoint of ours.
    """
    now, then = values
    if not family:
        return (
            f"{path} was trained with {key} {then}, this config says {now}; use the config"
            " that the checkpoint was trained with"
        )
    return (
        f"{path} is a file of {family}, which has {key} {then}, this config says {now}; set it, or"
        f" write a checkpoint with its config: reid convert {path} -o OUT.pth (with {key} {now}"
        " behind it if that is what it was trained with)"
    )
