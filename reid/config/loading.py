"""How a file and the command line become one frozen config."""

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from reid.config.keys import BOUNDS, LISTS, choices, default_cfg
from reid.config.trees import leaves
from reid.utils.errors import InputError, suggest, unknown


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
