"""The table of heads."""

from collections.abc import Callable

from torch import nn

from reid.utils.registry import Registry

HEADS: Registry[Callable[..., nn.Module]] = Registry("head")
