"""The table of losses."""

from collections.abc import Callable

from torch import nn

from reid.utils.registry import Registry

LOSSES: Registry[Callable[..., nn.Module]] = Registry("loss")
