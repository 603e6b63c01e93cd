"""The table of regularizers."""

from collections.abc import Callable

from torch import nn

from reid.utils.registry import Registry

REGULARIZERS: Registry[Callable[..., nn.Module]] = Registry("regularizer")
