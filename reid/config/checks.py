"""What no single key can tell: settings that contradict each other."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from yacs.config import CfgNode

from reid.data.samplers import SAMPLERS
from reid.evaluation.retrieval import Expansion, ReRanking
from reid.losses import LOSSES
from reid.modeling import REGULARIZERS
from reid.robustness.adversarial_training import AdversarialTraining
from reid.utils.errors import ArgumentError, InputError, unknown
from reid.utils.registry import Registry
from reid.utils.settings import plain, settings_of


@contextlib.contextmanager
def config_errors(
    section: str, key_of: Callable[[str], str] | None = None, mend: str = ""
) -> Iterator[None]:
    """Gives errors of the block the config key, or the section, that they are about.

    Args:
        section: Section, or key, of the part that is built; "" adds none.
        key_of: Argument -> dotted key; None puts the argument below ``section``.
        mend: What to do about it, where the part cannot know the keys that do it; it ends the
            message.

    Raises:
        InputError: The block raised one.
    """
    end = f"; {mend}" if mend else ""
    try:
        yield
    except ArgumentError as error:
        name = error.argument
        key = key_of(name) if key_of is not None else f"{section}.{name.upper()}"
        raise InputError(f"{key} {error.problem}{end}") from error
    except InputError as error:
        raise InputError(f"{section}: {error}{end}" if section else f"{error}{end}") from error


def part_settings(node: CfgNode, component: Callable[..., Any]) -> dict[str, Any]:
    """Returns the arguments of a part that has a section of its own.

    Args:
        node: The section.
        component: What it is built by.
    """
    return {name: node[name.upper()] for name in settings_of(component)}


def regularizer_of_stage(cfg: CfgNode) -> dict[str, str]:
    """Returns the regularizer of each stage: ``pool:dropout`` names its own, ``pool`` takes NAME.

    Raises:
        InputError: Unknown regularizer, or two of them for one stage.
    """
    key, known = "MODEL.REGULARIZER.STAGES", ["none", *REGULARIZERS.names()]
    found: dict[str, str] = {}
    for entry in cfg.MODEL.REGULARIZER.STAGES:
        stage, colon, own = entry.partition(":")
        name = own if colon else cfg.MODEL.REGULARIZER.NAME
        if name not in known:
            raise InputError(f"{key}: '{entry}': {unknown('regularizer', name, known)}")
        if stage in found:
            raise InputError(f"{key} names {stage} twice; a stage has one regularizer")
        found[stage] = name
    return {stage: name for stage, name in found.items() if name != "none"}


def check_together(cfg: CfgNode) -> None:
    """Raises InputError for settings that each are possible, but not together."""
    if len(cfg.DATASETS.NAMES) != 1:
        raise InputError(f"DATASETS.NAMES: one data set a run, got {cfg.DATASETS.NAMES}")
    names, weights = cfg.LOSS.NAMES, cfg.LOSS.WEIGHTS
    if not names or len(names) != len(weights) or len(set(names)) != len(names):
        raise InputError(
            f"LOSS.NAMES {names} and LOSS.WEIGHTS {weights}: each loss once, with one weight"
        )
    if len(set(cfg.INPUT.TRANSFORMS)) != len(cfg.INPUT.TRANSFORMS):
        raise InputError(f"INPUT.TRANSFORMS {cfg.INPUT.TRANSFORMS} names one twice")
    regularizer_of_stage(cfg)
    _check_sampler(cfg)
    if cfg.INPUT.DEVICE == "cuda" and cfg.DATALOADER.CACHE == "none":
        raise InputError(
            "INPUT.DEVICE cuda augments decoded images, but DATALOADER.CACHE is none; set it to ram"
            " or disk, or INPUT.DEVICE auto"
        )
    if list(cfg.SOLVER.STEPS) != sorted(set(cfg.SOLVER.STEPS)):
        raise InputError(f"SOLVER.STEPS must rise, got {cfg.SOLVER.STEPS}")
    if (cfg.MODEL.PRETRAIN_CHOICE == "path") != bool(cfg.MODEL.PRETRAIN_PATH):
        raise InputError(
            f"MODEL.PRETRAIN_CHOICE is {cfg.MODEL.PRETRAIN_CHOICE} and MODEL.PRETRAIN_PATH is"
            f" '{cfg.MODEL.PRETRAIN_PATH}': a path goes with PRETRAIN_CHOICE path, and only there"
        )
    for section, node, part in (
        ("SOLVER.ADVERSARIAL", cfg.SOLVER.ADVERSARIAL, AdversarialTraining),
        ("TEST.RERANK", cfg.TEST.RERANK, ReRanking),
        ("TEST.AQE", cfg.TEST.AQE, Expansion),
    ):
        with config_errors(section):
            part(**part_settings(node, part))


def _check_sampler(cfg: CfgNode) -> None:
    sampler, batch, k = cfg.DATALOADER.SAMPLER, cfg.SOLVER.IMS_PER_BATCH, None
    component: Any = plain(SAMPLERS[sampler])
    k = cfg.DATALOADER.NUM_INSTANCES
    if "num_ids" in inspect.signature(component).parameters and batch % k:
        raise InputError(
            f"SOLVER.IMS_PER_BATCH {batch} must be a multiple of DATALOADER.NUM_INSTANCES {k}"
        )
    if component.serves_pairs:
        return
    serving = [name for name in SAMPLERS.names() if _has(SAMPLERS, name, "serves_pairs")]
    for loss in cfg.LOSS.NAMES:
        if _has(LOSSES, loss, "needs_pairs"):
            raise InputError(
                f"LOSS.NAMES: {loss} needs several images of an identity in a batch, and"
                f" DATALOADER.SAMPLER {sampler} does not put them there; set DATALOADER.SAMPLER"
                f" {' or '.join(serving)}, or leave {loss} out"
            )


def _has(table: Registry[Any], name: str, attribute: str) -> bool:
    return bool(getattr(plain(table[name]), attribute, False))
