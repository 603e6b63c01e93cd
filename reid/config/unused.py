"""Settings that were changed and have no effect, because another setting switches them off."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from yacs.config import CfgNode

from reid.config.checks import regularizer_of_stage
from reid.config.defaults import default_cfg
from reid.config.trees import leaves
from reid.data.augmentation import AUGMENTATIONS
from reid.data.datasets import DATASETS, takes_split
from reid.data.samplers import SAMPLERS
from reid.losses import LOSSES
from reid.losses.margin_softmax import MarginSoftmax
from reid.modeling import BACKBONES, HEADS, POOLINGS, PROVIDERS, REGULARIZERS
from reid.utils.registry import Registry
from reid.utils.settings import plain

# What each command looks at.
SECTIONS = {
    "train": ("MODEL", "INPUT", "DATASETS", "DATALOADER", "LOSS", "SOLVER"),
    "test": ("DATASETS", "TEST"),
    "attack": ("DATASETS", "TEST", "ATTACK"),
}


def _classifier_learns(cfg: CfgNode) -> bool:
    """Says whether a loss reads the logits of the head."""
    return any(plain(LOSSES[name]).consumes == "logits" for name in cfg.LOSS.NAMES)


def _has_class_weights(cfg: CfgNode) -> bool:
    """Says whether a loss takes the place of the classifier, as ArcFace does."""
    return any(issubclass(plain(LOSSES[name]), MarginSoftmax) for name in cfg.LOSS.NAMES)


class _Rule(NamedTuple):
    """Keys, or sections, that do nothing where ``off`` says so, and the reason."""

    keys: tuple[str, ...]
    off: Callable[[CfgNode], bool]
    because: str


RULES = (
    _Rule(
        ("SOLVER.STEPS", "SOLVER.GAMMA"),
        lambda c: c.SOLVER.SCHEDULE != "multistep",
        "SOLVER.SCHEDULE is not multistep",
    ),
    _Rule(
        ("SOLVER.GAMMA",),
        lambda c: not any(step <= c.SOLVER.MAX_EPOCHS for step in c.SOLVER.STEPS),
        "none of SOLVER.STEPS is within SOLVER.MAX_EPOCHS",
    ),
    _Rule(
        ("SOLVER.STEPS",),
        lambda c: any(step > c.SOLVER.MAX_EPOCHS for step in c.SOLVER.STEPS),
        "a step behind SOLVER.MAX_EPOCHS never comes",
    ),
    _Rule(
        ("SOLVER.MIN_LR_FACTOR",),
        lambda c: c.SOLVER.SCHEDULE != "cosine",
        "SOLVER.SCHEDULE is not cosine",
    ),
    _Rule(
        ("SOLVER.DELAY_EPOCHS",),
        lambda c: c.SOLVER.SCHEDULE != "cosine",
        "SOLVER.SCHEDULE is not cosine",
    ),
    _Rule(
        ("SOLVER.DELAY_EPOCHS",),
        lambda c: c.SOLVER.DELAY_EPOCHS in range(max(c.SOLVER.WARMUP_EPOCHS, 1) + 1),
        "the rate falls only after SOLVER.WARMUP_EPOCHS and the first epoch anyway",
    ),
    _Rule(
        ("SOLVER.MIN_LR_FACTOR",),
        lambda c: c.SOLVER.SCHEDULE == "cosine" and c.SOLVER.DELAY_EPOCHS >= c.SOLVER.MAX_EPOCHS,
        "the rate never falls: SOLVER.DELAY_EPOCHS is not less than SOLVER.MAX_EPOCHS",
    ),
    _Rule(
        ("SOLVER.WARMUP_FACTOR",),
        lambda c: c.SOLVER.WARMUP_EPOCHS < 2,  # the first epoch of 1 has the whole rate
        "SOLVER.WARMUP_EPOCHS is less than 2",
    ),
    _Rule(
        ("SOLVER.MOMENTUM", "SOLVER.NESTEROV"),
        lambda c: c.SOLVER.OPTIMIZER_NAME != "sgd",
        "SOLVER.OPTIMIZER_NAME is not sgd",
    ),
    _Rule(
        ("SOLVER.NORM_DECAY_FACTOR",),
        lambda c: not c.SOLVER.WEIGHT_DECAY,
        "SOLVER.WEIGHT_DECAY is 0",
    ),
    _Rule(
        ("SOLVER.BACKBONE_LR_FACTOR", "SOLVER.LAYER_DECAY"),
        lambda c: c.SOLVER.FREEZE_EPOCHS >= c.SOLVER.MAX_EPOCHS,
        "SOLVER.FREEZE_EPOCHS freezes the backbone to the end",
    ),
    _Rule(
        ("SOLVER.ADVERSARIAL",),
        lambda c: not c.SOLVER.ADVERSARIAL.ENABLED,
        "SOLVER.ADVERSARIAL.ENABLED is False",
    ),
    _Rule(
        ("MODEL.REGULARIZER.STAGES",),
        lambda c: not regularizer_of_stage(c),
        "MODEL.REGULARIZER.NAME is none, and no stage names its own",
    ),
    _Rule(
        ("LOSS.TRIPLET.MARGIN",),
        lambda c: c.LOSS.TRIPLET.SOFT_MARGIN,
        "LOSS.TRIPLET.SOFT_MARGIN is True",
    ),
    _Rule(
        ("LOSS.MULTI_SIMILARITY.EPSILON",),
        lambda c: not c.LOSS.MULTI_SIMILARITY.MINING,
        "LOSS.MULTI_SIMILARITY.MINING is False",
    ),
    _Rule(
        ("MODEL.HEAD.BNNECK.DROPOUT", "MODEL.HEAD.REDUCTION.DROPOUT"),
        lambda c: not _classifier_learns(c),
        "it is before the classifier, which none of LOSS.NAMES reads",
    ),
    _Rule(
        ("DATALOADER.NUM_INSTANCES",),
        lambda c: c.DATALOADER.SAMPLER == "shuffle",
        "DATALOADER.SAMPLER is shuffle",
    ),
    _Rule(
        ("DATASETS.SPLIT",),
        lambda c: not any(takes_split(name) for name in (*c.DATASETS.NAMES, *c.DATASETS.TESTS)),
        "each data set has a split of its own",
    ),
    _Rule(
        ("DATALOADER.PK.BALANCE_SOURCES",),
        lambda c: len(c.DATASETS.NAMES) == 1,
        "DATASETS.NAMES has one data set",
    ),
    _Rule(
        ("INPUT.DEVICE",),
        lambda c: c.DATALOADER.CACHE == "none",
        "DATALOADER.CACHE is none, so that images are augmented where they are decoded",
    ),
    _Rule(("TEST.RERANK",), lambda c: not c.TEST.RE_RANKING, "TEST.RE_RANKING is False"),
    _Rule(("TEST.AQE",), lambda c: not c.TEST.AQE.ENABLED, "TEST.AQE.ENABLED is False"),
    _Rule(
        ("TEST.FEAT_NORM",),
        lambda c: c.TEST.METRIC == "cosine",
        "TEST.METRIC cosine divides features by their length in any case",
    ),
    _Rule(
        ("TEST.NECK_FEAT",),
        lambda c: c.MODEL.HEAD.NAME == "linear",
        "MODEL.HEAD.NAME linear has no neck",
    ),
    _Rule(
        ("ATTACK.SEVERITIES",),
        lambda c: not c.ATTACK.CORRUPTIONS,
        "ATTACK.CORRUPTIONS is empty",
    ),
    _Rule(
        ("ATTACK.SAVE_AS",),
        lambda c: not c.ATTACK.SAVE_IMAGES,
        "ATTACK.SAVE_IMAGES is 0",
    ),
    _Rule(
        ("ATTACK.PGD.RESTARTS",),
        lambda c: not c.ATTACK.PGD.RANDOM_START,
        "ATTACK.PGD.RANDOM_START is False, and equal starts give equal results",
    ),
)


def unused_settings(cfg: CfgNode, command: str) -> list[str]:
    """Says, one line each, which settings were changed from their default and do nothing.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        command: ``train``, ``test`` or ``attack``, which look at different settings.
    """
    before, now = dict(leaves(default_cfg())), dict(leaves(cfg))
    changed = [key for key in now if now[key] != before.get(key)]
    found: dict[str, str] = {}
    for keys, because in _without_effect(cfg, changed):
        for key in changed:
            if key.startswith(SECTIONS[command]) and any(_in(key, name) for name in keys):
                line = f"{key} {_shown(now[key])} has no effect: {because}"
                found.setdefault(key, line)
    return [*found.values(), *REMARKS[command](cfg)]


def _without_effect(cfg: CfgNode, changed: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for rule in RULES:
        if rule.off(cfg):
            yield rule.keys, rule.because
    for table, used, key in _choices(cfg):
        for name in sorted(set(table.names()) - used):
            yield _keys(table, name), f"{name} is not in {key}"
    for name in cfg.INPUT.TRANSFORMS:
        switch = next((key for key in _keys(AUGMENTATIONS, name) if key.endswith("_PROB")), "")
        # Who sets it to 0 knows it; whose default is 0 may have been forgotten.
        if switch not in ("", *changed) and not cfg.INPUT[switch.removeprefix("INPUT.")]:
            yield _keys(AUGMENTATIONS, name), f"{switch} is 0"


def _choices(cfg: CfgNode) -> Iterator[tuple[Registry[Any], set[str], str]]:
    """Yields the tables a config chooses from, what it chose, and the key that says so."""
    m = cfg.MODEL
    yield BACKBONES, {m.BACKBONE.NAME}, "MODEL.BACKBONE.NAME"
    yield PROVIDERS, {m.BACKBONE.NAME.partition(":")[0]}, "MODEL.BACKBONE.NAME"
    yield POOLINGS, {m.POOLING.NAME}, "MODEL.POOLING.NAME"
    yield HEADS, {m.HEAD.NAME}, "MODEL.HEAD.NAME"
    stages = "MODEL.REGULARIZER.NAME and STAGES"
    yield REGULARIZERS, set(regularizer_of_stage(cfg).values()), stages
    yield AUGMENTATIONS, set(cfg.INPUT.TRANSFORMS), "INPUT.TRANSFORMS"
    yield DATASETS, {*cfg.DATASETS.NAMES, *cfg.DATASETS.TESTS}, "DATASETS.NAMES or TESTS"
    yield SAMPLERS, {cfg.DATALOADER.SAMPLER}, "DATALOADER.SAMPLER"
    yield LOSSES, set(cfg.LOSS.NAMES), "LOSS.NAMES"


def _keys(table: Registry[Any], name: str) -> tuple[str, ...]:
    section = table.section
    assert section is not None
    return tuple(f"{section.name}.{section.key(name, word)}" for word in table.settings(name))


def _in(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _other_remarks(cfg: CfgNode) -> Iterator[str]:
    """Yields what a default does together with a changed setting, and the reader may not expect."""
    s, k = cfg.SOLVER, cfg.DATALOADER.NUM_INSTANCES
    if s.WARMUP_EPOCHS > s.MAX_EPOCHS:
        yield (
            f"SOLVER.MAX_EPOCHS {s.MAX_EPOCHS} ends before the warm-up of SOLVER.WARMUP_EPOCHS"
            f" {s.WARMUP_EPOCHS}: the rate never reaches SOLVER.BASE_LR"
        )
    if not _classifier_learns(cfg) and not _has_class_weights(cfg):
        yield (
            f"none of LOSS.NAMES [{', '.join(cfg.LOSS.NAMES)}] reads the logits: the classifier of"
            f" MODEL.HEAD.NAME {cfg.MODEL.HEAD.NAME} stays as it was drawn"
        )
    if s.FREEZE_EPOCHS >= s.MAX_EPOCHS:
        yield (
            f"SOLVER.FREEZE_EPOCHS {s.FREEZE_EPOCHS} is not less than SOLVER.MAX_EPOCHS"
            f" {s.MAX_EPOCHS}: the backbone never trains"
        )
    if s.SCHEDULE == "cosine" and s.DELAY_EPOCHS >= s.MAX_EPOCHS:
        yield (
            f"SOLVER.DELAY_EPOCHS {s.DELAY_EPOCHS} is not less than SOLVER.MAX_EPOCHS"
            f" {s.MAX_EPOCHS}: the rate never falls"
        )
    if cfg.DATALOADER.SAMPLER == "pk" and k == s.IMS_PER_BATCH:
        yield (
            f"SOLVER.IMS_PER_BATCH and DATALOADER.NUM_INSTANCES are both {k}: a batch has one"
            " identity, and a triplet loss no negative"
        )
    if s.VAL_FRACTION and not 0 < s.EVAL_PERIOD < s.MAX_EPOCHS:
        yield (
            f"SOLVER.VAL_FRACTION {s.VAL_FRACTION} picks nothing: with SOLVER.EVAL_PERIOD"
            f" {s.EVAL_PERIOD} only the last epoch is evaluated, and the identities held out are"
            " missing in training"
        )
    for stage, name in regularizer_of_stage(cfg).items():
        if cfg.MODEL.REGULARIZER.get(name.upper(), {}).get("P", 1) == 0:
            key = f"MODEL.REGULARIZER.{name.upper()}.P"
            yield f"{key} is 0: {name} does nothing at stage {stage}"


def _of_tests(cfg: CfgNode) -> Iterator[str]:
    if cfg.TEST.AQE.ENABLED and not cfg.TEST.FEAT_NORM:
        yield (
            "TEST.FEAT_NORM False has no effect on TEST.AQE: expanded queries and their gallery"
            " have length 1"
        )


def _of_attacks(cfg: CfgNode) -> Iterator[str]:
    yield from _of_tests(cfg)
    for name in cfg.ATTACK.NAMES:
        if name.rpartition("-")[2] == "ce" and not _classifier_learns(cfg):
            yield (
                f"ATTACK.NAMES {name} attacks the classifier, and none of LOSS.NAMES"
                f" [{', '.join(cfg.LOSS.NAMES)}] has trained it"
            )


REMARKS: dict[str, Callable[[CfgNode], Iterator[str]]] = {
    "train": _other_remarks,
    "test": _of_tests,
    "attack": _of_attacks,
}
