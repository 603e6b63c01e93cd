"""What no single key can tell: settings that contradict each other."""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
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

# A network of stride 32 makes one cell of 32 pixels; of less than half of it, it sees next to none.
LEAST_PIXELS = 16
WARMUP_EPOCHS = 10  # the default of SOLVER.WARMUP_EPOCHS


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
        text = f"{section}: {error}{end}" if section else f"{error}{end}"
        raise _same_kind(error, text) from error


def _same_kind(error: InputError, text: str) -> InputError:
    """Returns an error of the same class, with its attributes, that says ``text``."""
    again: InputError = type(error).__new__(type(error), text)
    again.__dict__.update(vars(error))
    again.args = (text,)
    return again


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


def _check_regularizer(cfg: CfgNode) -> None:
    """Raises InputError where a regularizer is named and disturbs nothing: a silent baseline."""
    name, stages = cfg.MODEL.REGULARIZER.NAME, cfg.MODEL.REGULARIZER.STAGES
    if name != "none" and name not in regularizer_of_stage(cfg).values():
        raise InputError(
            f"MODEL.REGULARIZER.NAME is {name}, but none of MODEL.REGULARIZER.STAGES"
            f" [{', '.join(stages)}] takes it; name a stage such as conv1, or set NAME none"
        )


def check_together(cfg: CfgNode) -> None:
    """Raises InputError for settings that each are possible, but not together."""
    _check_data_sets(cfg)
    names, weights = cfg.LOSS.NAMES, cfg.LOSS.WEIGHTS
    if not names or len(names) != len(weights) or len(set(names)) != len(names):
        raise InputError(
            f"LOSS.NAMES {names} and LOSS.WEIGHTS {weights}: each loss once, with one weight"
        )
    if len(set(cfg.INPUT.TRANSFORMS)) != len(cfg.INPUT.TRANSFORMS):
        raise InputError(f"INPUT.TRANSFORMS {cfg.INPUT.TRANSFORMS} names one twice")
    if not any(weights):
        raise InputError(f"LOSS.WEIGHTS {weights} are all 0: nothing would be learned")
    _check_regularizer(cfg)
    _check_sizes(cfg)
    _check_sampler(cfg)
    _check_schedule(cfg)
    _check_attack(cfg)
    if cfg.INPUT.DEVICE == "cuda" and cfg.DATALOADER.CACHE == "none":
        raise InputError(
            "INPUT.DEVICE cuda augments decoded images, but DATALOADER.CACHE is none; set it to ram"
            " or disk, or INPUT.DEVICE auto"
        )
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


def _check_data_sets(cfg: CfgNode) -> None:
    if not cfg.DATASETS.NAMES:
        raise InputError("DATASETS.NAMES is empty; name a data set, such as market1501")
    for key in ("NAMES", "TESTS"):
        names = cfg.DATASETS[key]
        if len(set(names)) != len(names):
            raise InputError(f"DATASETS.{key} [{', '.join(names)}] names one twice")


def _check_schedule(cfg: CfgNode) -> None:
    s = cfg.SOLVER
    if list(s.STEPS) != sorted(set(s.STEPS)):
        raise InputError(f"SOLVER.STEPS must rise, got {s.STEPS}")
    if s.OPTIMIZER_NAME == "sgd" and s.NESTEROV and not s.MOMENTUM:
        raise InputError("SOLVER.NESTEROV needs a SOLVER.MOMENTUM of more than 0, such as 0.9")
    # A run that is cut short for a trial keeps its warm-up, and is only warned of.
    if s.WARMUP_EPOCHS > s.MAX_EPOCHS and s.WARMUP_EPOCHS != WARMUP_EPOCHS:
        raise InputError(
            f"SOLVER.WARMUP_EPOCHS must be at most SOLVER.MAX_EPOCHS {s.MAX_EPOCHS}, got"
            f" {s.WARMUP_EPOCHS}: the rate would never reach SOLVER.BASE_LR"
        )


def _check_sizes(cfg: CfgNode) -> None:
    """Raises InputError for rectangles and borders that images of this size do not have."""
    height, width = cfg.INPUT.SIZE_TRAIN
    if "padding" in cfg.INPUT.TRANSFORMS and min(height, width) <= cfg.INPUT.PADDING:
        raise InputError(
            f"INPUT.PADDING must be less than the sides of INPUT.SIZE_TRAIN, {height} and {width},"
            f" got {cfg.INPUT.PADDING}: a window could hold nothing of the image"
        )
    for name in {*regularizer_of_stage(cfg).values()}:
        node = cfg.MODEL.REGULARIZER.get(name.upper(), {})
        _check_rectangle(f"MODEL.REGULARIZER.{name.upper()}.", node, height / width)
    for name in cfg.INPUT.TRANSFORMS:
        words = {w: cfg.INPUT.get(f"{name.upper()}_{w}") for w in ("AREA", "ASPECT")}
        _check_rectangle(f"INPUT.{name.upper()}_", words, height / width)


def _check_attack(cfg: CfgNode) -> None:
    size = cfg.ATTACK.SIZE
    if any(size) and min(size) < LEAST_PIXELS:
        raise InputError(
            f"ATTACK.SIZE must be height and width of at least {LEAST_PIXELS}, or 0, 0 for"
            f" INPUT.SIZE_TEST; got {size}"
        )
    if cfg.ATTACK.CORRUPTIONS and not cfg.ATTACK.SEVERITIES:
        raise InputError("ATTACK.SEVERITIES is empty: ATTACK.CORRUPTIONS need at least one")


def _check_rectangle(prefix: str, node: Mapping[str, Any], shape: float) -> None:
    """Raises InputError where no rectangle is smaller than the image, so that none is drawn.

    A rectangle of the area a (of the image's) and the aspect r = height / width has the height
    sqrt(a r / shape) and the width sqrt(a shape / r) of the image's, where shape is the image's own
    aspect; both must be below 1. The smallest area leaves most room.
    """
    area, aspect = node.get("AREA"), node.get("ASPECT")
    if not isinstance(area, tuple) or not isinstance(aspect, tuple) or len(aspect) != 2:
        return
    for word, pair in (("AREA", area), ("ASPECT", aspect)):
        if pair[0] > pair[-1]:
            raise InputError(f"{prefix}{word} must be (low, high) with low <= high, got {pair}")
    low, high = area[0] * shape, shape / area[0]
    if low >= high or aspect[1] <= low or aspect[0] >= high:
        raise InputError(
            f"{prefix}ASPECT {aspect} and {prefix}AREA {area}: no such rectangle fits into images"
            f" of INPUT.SIZE_TRAIN, whose height / width is {shape:g}; none would be drawn"
        )


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
