"""Every config key that exists, and how a file and the command line become one frozen config.

The life of a setting: signature or default below -> ``_BASE_`` chain -> file -> command line ->
:func:`load_cfg` freezes it -> ``reid.build`` hands it to a component as a keyword argument.

A component's own settings are read off its signature: an argument with a default is a key, under
the component's name (``MODEL.REGULARIZER.LFM.P``). So a default is written once, and choosing
another component never inherits settings of the old one.
"""

import ast
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from reid.data.datasets import DATASETS
from reid.engine.optim import OPTIMIZERS, SCHEDULES
from reid.evaluation import METRICS
from reid.evaluation.ranking import CHUNK
from reid.evaluation.retrieval import Expansion, ReRanking
from reid.losses import LOSSES
from reid.modeling import BACKBONES, HEADS, REGULARIZERS
from reid.robustness.adversarial_training import AdversarialTraining
from reid.robustness.ball import NORMS
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.optimizers import OPTIMIZERS as ATTACK_OPTIMIZERS
from reid.utils.errors import InputError, suggest, unknown
from reid.utils.registry import Registry


def hyperparameters(component: Callable[..., Any]) -> CfgNode:
    """Turns a signature into a config node: every argument with a default is a key."""
    params = inspect.signature(component).parameters.values()
    return CfgNode({p.name.upper(): p.default for p in params if p.default is not p.empty})


def _nodes(registry: Registry[Any]) -> dict[str, CfgNode]:
    nodes = {name.upper(): hyperparameters(registry[name]) for name in registry.names()}
    return {name: node for name, node in nodes.items() if node}


def default_cfg() -> CfgNode:
    """Builds the config that holds every key with its default."""
    c = CfgNode()
    c.OUTPUT_DIR = "outputs/run"  # everything a run writes
    c.SEED = 0

    c.MODEL = CfgNode()
    c.MODEL.DEVICE = "auto"  # auto (cuda if there is one), cpu, cuda, cuda:1
    c.MODEL.SYNC_BN = False  # batch normalization over the batch of all processes; CUDA
    c.MODEL.PRETRAIN_CHOICE = "imagenet"  # imagenet (by torchvision), path, none
    c.MODEL.PRETRAIN_PATH = ""  # with PRETRAIN_CHOICE path: a torchvision state dict
    c.MODEL.BACKBONE = CfgNode({"NAME": "resnet50", **_nodes(BACKBONES)})
    c.MODEL.HEAD = CfgNode({"NAME": "bnneck", **_nodes(HEADS)})
    c.MODEL.REGULARIZER = CfgNode({"NAME": "none", "STAGES": ("conv1",), **_nodes(REGULARIZERS)})

    c.INPUT = CfgNode()
    c.INPUT.SIZE_TRAIN = (256, 128)  # height, width in pixels
    c.INPUT.SIZE_TEST = (256, 128)
    c.INPUT.PIXEL_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1]
    c.INPUT.PIXEL_STD = (0.229, 0.224, 0.225)
    c.INPUT.FLIP_PROB = 0.5
    c.INPUT.PADDING = 10  # pixels of black on each side before the random crop
    c.INPUT.ERASING_PROB = 0.5
    c.INPUT.ERASING_AREA = (0.02, 0.4)  # share of the image
    c.INPUT.ERASING_ASPECT = (0.3, 1 / 0.3)  # height / width
    c.INPUT.ERASING_FILL = (0.485, 0.456, 0.406)  # RGB in [0, 1]
    c.INPUT.JITTER_PROB, c.INPUT.JITTER = 0.0, (0.15, 0.15, 0.1)  # brightness, contrast, saturation
    c.INPUT.GRAYSCALE_PATCH_PROB = 0.0
    c.INPUT.GRAYSCALE_PATCH_AREA = (0.02, 0.4)  # share of the image
    c.INPUT.GRAYSCALE_PATCH_ASPECT = (0.3, 1 / 0.3)  # height / width
    c.INPUT.DEVICE = "auto"  # that augments: auto (where the model is), cpu, cuda

    c.DATASETS = CfgNode()
    c.DATASETS.NAMES = ("market1501",)
    c.DATASETS.ROOT_DIR = "datasets"
    for name, node in _nodes(DATASETS).items():
        c.DATASETS[name] = node

    c.DATALOADER = CfgNode()
    c.DATALOADER.NUM_WORKERS = 4
    c.DATALOADER.CACHE = "ram"  # decoded images: none, ram, disk (OUTPUT_DIR/cache)
    c.DATALOADER.SAMPLER = "pk"  # pk, shuffle
    c.DATALOADER.NUM_INSTANCES = 4  # K; P = IMS_PER_BATCH / K

    c.SOLVER = CfgNode()
    c.SOLVER.MAX_EPOCHS = 120
    c.SOLVER.IMS_PER_BATCH = 64  # per process
    c.SOLVER.OPTIMIZER_NAME = "adam"  # adam, adamw, sgd
    c.SOLVER.BASE_LR = 3.5e-4
    c.SOLVER.BIAS_LR_FACTOR = 1.0
    c.SOLVER.MOMENTUM = 0.9  # sgd only
    c.SOLVER.WEIGHT_DECAY = 5e-4
    c.SOLVER.WEIGHT_DECAY_BIAS = 5e-4
    c.SOLVER.SCHEDULE = "multistep"  # multistep, cosine
    c.SOLVER.STEPS = (40, 70)  # multistep: first epochs (1-based) of the lowered rate
    c.SOLVER.GAMMA = 0.1  # multistep: factor at each step
    c.SOLVER.MIN_LR_FACTOR = 0.0  # cosine: last rate / BASE_LR
    c.SOLVER.WARMUP_EPOCHS = 10
    c.SOLVER.WARMUP_FACTOR = 0.01  # rate before the first epoch / BASE_LR
    c.SOLVER.PRECISION = "auto"  # fp32, bf16, fp16, auto (bf16 where the device has it)
    c.SOLVER.ACCUMULATE = 1  # batches whose mean gradient makes one update
    c.SOLVER.COMPILE = False  # torch.compile the model
    c.SOLVER.DETERMINISTIC = True  # the same bits each time on CUDA too, at some cost in speed
    c.SOLVER.CLIP_NORM = 0.0  # largest norm of the whole gradient; 0 = off
    c.SOLVER.ADVERSARIAL = CfgNode({"ENABLED": False, **hyperparameters(AdversarialTraining)})
    c.SOLVER.VAL_FRACTION = 0.0  # share of train identities held out to pick the best; 0 = test set
    c.SOLVER.EVAL_PERIOD = 10  # epochs; 0 = only after the last one
    c.SOLVER.CHECKPOINT_PERIOD = 1  # epochs between saves of last.pth; the last epoch always saves
    c.SOLVER.LOG_PERIOD = 20  # steps between log lines when not on a terminal

    c.LOSS = CfgNode({"NAMES": ("ce", "triplet"), "WEIGHTS": (1.0, 1.0), **_nodes(LOSSES)})

    c.TEST = CfgNode()
    c.TEST.WEIGHT = ""  # checkpoint to test; "" = none
    c.TEST.IMS_PER_BATCH = 128
    c.TEST.PRECISION = "fp32"
    c.TEST.NECK_FEAT = "after"  # after, before the BNNeck
    c.TEST.FEAT_NORM = True  # L2-normalise features
    c.TEST.FLIP = False  # average the features of image and mirror image
    c.TEST.METRIC = "euclidean"
    c.TEST.CHUNK = CHUNK  # queries ranked at a time; memory is CHUNK x gallery distances
    c.TEST.RE_RANKING = False
    c.TEST.RERANK = hyperparameters(ReRanking)
    c.TEST.AQE = CfgNode({"ENABLED": False, **hyperparameters(Expansion)})
    c.TEST.SAVE_FEATURES = False  # OUTPUT_DIR/features.npz, for test.py --features
    c.ATTACK = _attack_section()
    return c


def _attack_section() -> CfgNode:
    a = CfgNode()
    # presets (ama, cea, lta, odfa16, standard, strong), noise, or OPTIMIZER-OBJECTIVE
    a.NAMES = ("noise", "fgsm-fna", "mi_fgsm-metric", "pgd-sma", "pgd-fna")
    a.EPS_255 = ()  # budgets in levels of a pixel; () = a preset's own, else 2, 4, 8
    a.SIDE = "query"  # which side is perturbed: query, gallery
    a.NUM_QUERIES = 0  # evenly spaced part of the queries; 0 = all
    a.IMS_PER_BATCH = 64
    a.PRECISION = "fp32"
    a.SIZE = (0, 0)  # height, width of the pixels that are attacked; 0, 0 = INPUT.SIZE_TEST
    a.ON_GRID = True  # round attacked images to 8 bits
    a.STEP_CURVE = ()  # numbers of steps at which iterated attacks are run besides
    a.CORRUPTIONS = ()  # natural corruptions, or all
    a.SEVERITIES = (1, 2, 3, 4, 5)
    a.SANITY_QUERIES = 64  # that --sanity works on
    a.SAVE_IMAGES = 0  # attacked images kept of each attack; -1 = all
    a.SAVE_AS = "png"  # png, npz
    for name, node in {**_nodes(ATTACK_OPTIMIZERS), **_nodes(OBJECTIVES)}.items():
        a[name] = node
    return a


def regularizer_of_stage(cfg: CfgNode) -> dict[str, str]:
    """Returns the regularizer of each stage: ``pool:dropout`` names its own, ``pool`` takes NAME.

    Raises:
        InputError: Unknown regularizer, or two of them for one stage.
    """
    key, known = "MODEL.REGULARIZER.STAGES", choices()["MODEL.REGULARIZER.NAME"]
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


def choices() -> dict[str, list[str]]:
    """Returns the keys whose value is one of a list of names."""
    return {
        "MODEL.BACKBONE.NAME": BACKBONES.names(),
        "MODEL.HEAD.NAME": HEADS.names(),
        "MODEL.REGULARIZER.NAME": ["none", *REGULARIZERS.names()],
        "MODEL.PRETRAIN_CHOICE": ["imagenet", "path", "none"],
        "DATASETS.NAMES": DATASETS.names(),
        "INPUT.DEVICE": ["auto", "cpu", "cuda"],
        "DATALOADER.CACHE": ["none", "ram", "disk"],
        "DATALOADER.SAMPLER": ["pk", "shuffle"],
        "SOLVER.OPTIMIZER_NAME": sorted(OPTIMIZERS),
        "SOLVER.SCHEDULE": sorted(SCHEDULES),
        "SOLVER.PRECISION": ["fp32", "bf16", "fp16", "auto"],
        "TEST.PRECISION": ["fp32", "bf16", "fp16", "auto"],
        "TEST.NECK_FEAT": ["after", "before"],
        "TEST.METRIC": sorted(METRICS),
        "LOSS.NAMES": LOSSES.names(),
        "ATTACK.SIDE": ["query", "gallery"],
        "ATTACK.PRECISION": ["fp32", "bf16", "fp16", "auto"],
        "ATTACK.CORRUPTIONS": ["all", *CORRUPTIONS.names()],
        "ATTACK.SAVE_AS": ["png", "npz"],
        "ATTACK.PGD.NORM": sorted(NORMS),
        "ATTACK.NOISE.NORM": sorted(NORMS),
    }


# key -> (least, most); None is no bound. Components check their own arguments.
BOUNDS: dict[str, tuple[float, float | None]] = {
    "SEED": (0, None),
    "DATALOADER.NUM_WORKERS": (0, None),
    "SOLVER.MAX_EPOCHS": (1, None),
    "SOLVER.IMS_PER_BATCH": (1, None),
    "SOLVER.ACCUMULATE": (1, None),
    "SOLVER.BASE_LR": (0, None),
    "SOLVER.WEIGHT_DECAY": (0, None),
    "SOLVER.WEIGHT_DECAY_BIAS": (0, None),
    "SOLVER.WARMUP_EPOCHS": (0, None),
    "SOLVER.WARMUP_FACTOR": (0, 1),
    "SOLVER.MIN_LR_FACTOR": (0, 1),
    "SOLVER.CLIP_NORM": (0, None),
    "SOLVER.ADVERSARIAL.EPS_255": (0, 255),
    "SOLVER.ADVERSARIAL.STEP": (0, None),
    "SOLVER.ADVERSARIAL.STEPS": (1, None),
    "SOLVER.ADVERSARIAL.SHARE": (0, 1),
    "SOLVER.VAL_FRACTION": (0, 0.9),
    "SOLVER.EVAL_PERIOD": (0, None),
    "SOLVER.CHECKPOINT_PERIOD": (1, None),
    "SOLVER.LOG_PERIOD": (1, None),
    "TEST.IMS_PER_BATCH": (1, None),
    "TEST.CHUNK": (1, None),
    "TEST.AQE.K": (0, None),
    "TEST.AQE.ALPHA": (0, None),
    "TEST.RERANK.K1": (1, None),
    "TEST.RERANK.K2": (1, None),
    "TEST.RERANK.LAMBDA_VALUE": (0, 1),
    "ATTACK.EPS_255": (0, 255),
    "ATTACK.NUM_QUERIES": (0, None),
    "ATTACK.IMS_PER_BATCH": (1, None),
    "ATTACK.SIZE": (0, None),
    "ATTACK.STEP_CURVE": (1, None),
    "ATTACK.SEVERITIES": (1, 5),
    "ATTACK.SANITY_QUERIES": (2, None),
    "ATTACK.SAVE_IMAGES": (-1, None),
}


# Tuples of any length, with an item that shows their type; every other tuple keeps the length of
# its default.
LISTS: dict[str, Any] = {
    "DATASETS.NAMES": "",
    "LOSS.NAMES": "",
    "LOSS.WEIGHTS": 0.0,
    "SOLVER.STEPS": 0,
    "MODEL.REGULARIZER.STAGES": "",
    "ATTACK.NAMES": "",
    "ATTACK.EPS_255": 0.0,
    "ATTACK.STEP_CURVE": 0,
    "ATTACK.CORRUPTIONS": "",
    "ATTACK.SEVERITIES": 0,
}


def load_cfg(path: str | Path | None, overrides: Sequence[str] = ()) -> CfgNode:
    """Reads a YAML file with its ``_BASE_`` chain, applies ``KEY VALUE`` pairs, checks and freezes.

    Args:
        path: The file. ``_BASE_: other.yml`` in it is relative to it. None is the defaults alone.
        overrides: ``[KEY, VALUE, KEY, VALUE, ...]`` as typed behind a command.

    Raises:
        InputError: Unknown key, wrong type, unknown value: names the key, where it came from, and
            the nearest known one.
    """
    cfg = default_cfg()
    for source, tree in read_chain(Path(path)) if path is not None else ():
        for key, value in _flatten(tree, cfg, source):
            _set(cfg, key, value, source)
    if len(overrides) % 2:
        raise InputError(
            f"command line: KEY VALUE pairs are expected, '{overrides[-1]}' has no partner"
        )
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        _set(cfg, key, _parse(text), "command line")
    _check_together(cfg)
    cfg.freeze()
    return cfg


def read_chain(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Reads a file and those it inherits from; the outermost base comes first."""
    chain: list[tuple[str, Mapping[str, Any]]] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        if current.resolve() in seen:
            names = " -> ".join(str(p) for p in [*seen, current.resolve()])
            raise InputError(f"{path}: _BASE_ goes in a circle: {names}")
        seen.append(current.resolve())
        tree = dict(_read_yaml(current, asked_by=chain[-1][0] if chain else ""))
        base = tree.pop("_BASE_", None)
        if base is not None and not isinstance(base, str):
            raise InputError(f"{current}: _BASE_ is one relative path, got {base!r}")
        chain.append((str(current), tree))
        current = current.parent / base if base is not None else None
    return chain[::-1]


def _read_yaml(path: Path, asked_by: str) -> Mapping[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        because = f", which {asked_by} names as _BASE_" if asked_by else ""
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"config file {path}{because} cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if tree is not None and not isinstance(tree, dict):
        raise InputError(f"{path}: a config is KEY: value lines, got a {type(tree).__name__}")
    return tree or {}


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted key, value) of every setting."""
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def difference(cfg: CfgNode, other: CfgNode) -> list[tuple[str, Any, Any]]:
    """Lists (key, value in cfg, value in other) where the two differ; a missing key gives None."""
    left, right = dict(leaves(cfg)), dict(leaves(other))
    keys = sorted(left.keys() | right.keys())
    return [(k, left.get(k), right.get(k)) for k in keys if left.get(k) != right.get(k)]


class _Plain(yaml.SafeDumper):
    """Writes every value out; equal tuples are not turned into anchors and references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(cfg: CfgNode) -> str:
    """Returns the config as YAML that :func:`load_cfg` reads back to the same config."""
    plain = yaml.safe_load(cfg.dump())
    return yaml.dump(plain, Dumper=_Plain, sort_keys=True, default_flow_style=None, width=99)


def parse_dump(text: str) -> CfgNode:
    """Reads the text of a saved config as it is, without checks: for comparing with another."""
    return CfgNode(yaml.safe_load(text))


def _flatten(
    tree: Mapping[str, Any], cfg: CfgNode, source: str, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yields (dotted key, value) of a parsed file; a section of comments only counts as empty."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flatten(value, cfg, source, f"{key}.")
        elif value is not None or not isinstance(_lookup(cfg, key), CfgNode):
            yield key, value


def _lookup(cfg: CfgNode, key: str) -> Any:
    node: Any = cfg
    for part in key.split("."):
        if not isinstance(node, CfgNode) or part not in node:
            return None
        node = node[part]
    return node


def _set(cfg: CfgNode, key: str, value: Any, source: str) -> None:
    default = _lookup(cfg, key)
    if default is None:
        raise InputError(f"{source}: unknown key {key}{_nearest_key(cfg, key)}")
    if isinstance(default, CfgNode):
        raise InputError(
            f"{source}: {key} is a section, not a setting; it has {', '.join(sorted(default))}"
        )
    try:
        value = _coerce(value, (LISTS[key],) if key in LISTS else default)
    except TypeError as error:
        raise InputError(f"{source}: {key} {error}") from error
    if isinstance(value, tuple) and key not in LISTS and len(value) != len(default):
        raise InputError(f"{source}: {key} must have {len(default)} values, got {value}")
    known = choices().get(key)
    for word in value if isinstance(value, tuple) else (value,):
        if known is not None and word not in known:
            raise InputError(
                f"{source}: {key} has the unknown value '{word}'{suggest(word, known) or '.'}"
                f" Known: {', '.join(known)}"
            )
    least, most = BOUNDS.get(key, (None, None))
    for item in value if isinstance(value, tuple) else (value,):
        if (least is not None and item < least) or (most is not None and item > most):
            limits = f"at least {least}" + (f" and at most {most}" if most is not None else "")
            raise InputError(f"{source}: {key} must be {limits}, got {value}")
    section, _, name = key.rpartition(".")
    (_lookup(cfg, section) if section else cfg)[name] = value


def _nearest_key(cfg: CfgNode, key: str) -> str:
    """Suggests the nearest whole key, or keys of the same last word elsewhere in the tree."""
    known = [name for name, _ in leaves(cfg)]
    last = key.rpartition(".")[2].upper()
    same_word = [name for name in known if name.rpartition(".")[2] == last]
    if same_word:
        return f"; did you mean {' or '.join(same_word[:3])}?"
    return suggest(key, known) or "; configs/README.md lists every key"


def _parse(text: str) -> Any:
    """Reads a value typed on the command line: a Python literal, true/false, or plain text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _coerce(value: Any, default: Any) -> Any:
    """Returns ``value`` as the type of ``default``; raises TypeError that says what is wanted.

    Lossless changes only: 1 for 1.0, "1e-4" (text to YAML 1.1) for a float, a list or a single
    word for a tuple.
    """
    if isinstance(default, tuple):
        items = value if isinstance(value, list | tuple) else (value,)
        return tuple(_coerce(item, default[0]) for item in items)
    if isinstance(default, float) and isinstance(value, int | float | str):
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    elif type(value) is type(default):
        return value
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    raise TypeError(f"must be {wanted[type(default)]}, got {value!r}")


def _check_together(cfg: CfgNode) -> None:
    """Checks what no single key can tell."""
    if len(cfg.DATASETS.NAMES) != 1:
        raise InputError(f"DATASETS.NAMES: one data set a run, got {cfg.DATASETS.NAMES}")
    names, weights = cfg.LOSS.NAMES, cfg.LOSS.WEIGHTS
    if not names or len(names) != len(weights) or len(set(names)) != len(names):
        raise InputError(
            f"LOSS.NAMES {names} and LOSS.WEIGHTS {weights}: each loss once, with one weight"
        )
    regularizer_of_stage(cfg)
    batch, k = cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCES
    if cfg.DATALOADER.SAMPLER == "pk" and (k < 1 or batch % k):
        raise InputError(
            f"SOLVER.IMS_PER_BATCH {batch} must be a multiple of DATALOADER.NUM_INSTANCES {k}"
        )
    if cfg.DATALOADER.SAMPLER == "shuffle" and "triplet" in names:
        raise InputError(
            "LOSS.NAMES has triplet, but DATALOADER.SAMPLER shuffle seldom puts two images of an"
            " identity into a batch; set DATALOADER.SAMPLER pk or leave triplet out"
        )
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
