"""Configs as trees of settings: listed, compared, written out, read back."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from yacs.config import CfgNode

from reid.config.strict_yaml import YamlError, parse
from reid.utils.errors import InputError


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted key, value) of every setting.

    Args:
        node: A config, or a section of one.
        prefix: What each key begins with.
    """
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def difference(cfg: CfgNode, other: CfgNode) -> list[tuple[str, Any, Any]]:
    """Lists (key, value in cfg, value in other) where the two differ; a missing key gives None.

    Args:
        cfg: A config.
        other: Another one.
    """
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
    """Reads the text of a saved config as it is, without its keys: for comparing with another.

    Raises:
        InputError: The text is no YAML, or no config.
    """
    try:
        tree = parse(text)
    except YamlError as error:
        raise InputError(f"the saved config {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"the saved config is no KEY: value lines, but a {type(tree).__name__}")
    return CfgNode(tree)
