"""The table of poolings."""

from torch import nn

from reid.utils.registry import Registry, Section

# A pooling maps (B, C, h, w) of any floating type to (B, C, 1, 1) float32. Arguments of __init__
# with a default are config keys: MODEL.POOLING.<NAME>.<ARGUMENT>. What it learns is in the state
# dict, below "pooling.".
POOLINGS: Registry[type[nn.Module]] = Registry(
    "pooling", Section("MODEL.POOLING", ("NAME",)), base=nn.Module
)
