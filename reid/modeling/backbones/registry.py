"""The table of backbones."""

from collections.abc import Callable

from torch import nn

from reid.utils.registry import Registry

BACKBONES: Registry[Callable[..., nn.Module]] = Registry("backbone")
