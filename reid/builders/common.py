"""What all builders share: components by name, and what seeds are derived for."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from reid.config import config_errors
from reid.utils.environment import choose_device
from reid.utils.logs import make_dir
from reid.utils.registry import Registry

INIT, VALIDATION, SAMPLER, TRAINER, ATTACK = range(5)  # what a seed is derived for


def make(
    registry: Registry[Any],
    name: str,
    cfg: CfgNode,
    overrides: Mapping[str, Any] | None = None,
    fact_keys: Mapping[str, str] | None = None,
    **facts: Any,
) -> Any:
    """Builds component ``name`` from its keys in the config and the facts that it asks for.

    Args:
        registry: The table.
        name: Registered name.
        cfg: The whole config.
        overrides: Arguments that go before the config's.
        fact_keys: Keys that facts come from, for messages.
        facts: What is known at run time; a component gets those that its signature names.

    Raises:
        InputError: As the component raised it, with the config key in front.
    """
    component, section = registry[name], registry.section
    assert section is not None

    def key_of(argument: str) -> str:
        if argument not in registry.settings(name):
            return (fact_keys or {}).get(argument, f"{section.name}.{name.upper()}: {argument}")
        return f"{section.name}.{section.key(name, argument)}"

    settings = {argument: lookup(cfg, key_of(argument)) for argument in registry.settings(name)}
    settings |= overrides or {}
    wanted = inspect.signature(component).parameters
    known = {key: value for key, value in facts.items() if key in wanted}
    where = ""  # where a component has no settings, its section is none that a user knows
    if settings:
        where = section.name if section.flat else f"{section.name}.{name.upper()}"
    with config_errors(where, key_of):
        built = component(**settings, **known)
    registry.check_built(name, built)
    return built


def lookup(cfg: CfgNode, key: str) -> Any:
    """Returns the value of a dotted key.

    Args:
        cfg: The config.
        key: Such as ``LOSS.TRIPLET.MARGIN``.
    """
    node: Any = cfg
    for part in key.split("."):
        node = node[part]
    return node


def build_device(cfg: CfgNode) -> torch.device:
    """Returns the device of MODEL.DEVICE."""
    with config_errors("MODEL"):
        return choose_device(cfg.MODEL.DEVICE)


def output_dir(cfg: CfgNode, *below: str) -> Path:
    """Makes OUTPUT_DIR, or a folder below it, and returns it.

    Args:
        cfg: The config.
        below: Names of the folders below it.
    """
    with config_errors("OUTPUT_DIR"):
        return make_dir(Path(cfg.OUTPUT_DIR).joinpath(*below))
