"""Every config key that exists, and how a file and the command line become one frozen config.

The life of a setting: signature or default below -> ``_BASE_`` chain -> file -> command line ->
:func:`load_cfg` freezes it -> ``reid.wiring`` hands it to a component as a keyword argument.

A component's own settings are read off its signature: an argument with a default is a key, under
the component's name (``MODEL.REGULARIZER.LFM.P``). So a default is written once, and choosing
another component never inherits settings of the old one.
"""

from reid.config.keys import BOUNDS, LISTS, choices, default_cfg, hyperparameters
from reid.config.loading import load_cfg, read_chain, regularizer_of_stage
from reid.config.trees import difference, dump, leaves, parse_dump

__all__ = [
    "BOUNDS",
    "LISTS",
    "choices",
    "default_cfg",
    "difference",
    "dump",
    "hyperparameters",
    "leaves",
    "load_cfg",
    "parse_dump",
    "read_chain",
    "regularizer_of_stage",
]
