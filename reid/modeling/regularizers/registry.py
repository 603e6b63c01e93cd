"""The table of regularizers."""

from torch import nn

from reid.utils.registry import Registry, Section

REGULARIZERS: Registry[type[nn.Module]] = Registry(
    "regularizer",
    Section("MODEL.REGULARIZER", ("NAME", "STAGES")),
    base=nn.Module,
    attributes={
        "reseed": "derive from reid.modeling.regularizers.Regularizer, or write reseed(seed)"
    },
    values={"spatial": (True, False)},
)
