"""What all wiring shares: components by name, and what seeds are derived for."""

import inspect
from typing import Any

from yacs.config import CfgNode

from reid.utils.errors import InputError
from reid.utils.registry import Registry

INIT, VALIDATION, SAMPLER, TRAINER, ATTACK = range(5)  # what a seed is derived for


def make(registry: Registry[Any], name: str, section: CfgNode, where: str, **facts: Any) -> Any:
    """Builds component ``name`` from its node in ``section`` and the facts that it asks for.

    Raises:
        InputError: As the component raised it, with the config section in front.
    """
    component = registry[name]
    wanted = inspect.signature(component).parameters
    settings = {key.lower(): value for key, value in section.get(name.upper(), {}).items()}
    try:
        return component(**settings, **{k: v for k, v in facts.items() if k in wanted})
    except InputError as error:
        prefix = f"{where}.{name.upper()}: " if settings else ""
        raise InputError(f"{prefix}{error}") from error
