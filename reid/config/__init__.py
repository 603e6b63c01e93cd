"""Every config key that exists, and how a file and the command line become one frozen config.

The life of a setting: signature or :mod:`reid.config.defaults` -> ``_BASE_`` chain -> file ->
command line -> :func:`load_cfg` freezes it -> ``reid.builders`` hands it to a component as a
keyword argument.

A component's own settings are read off its signature: an argument with a default is a key, under
the component's name (``MODEL.REGULARIZER.LFM.P``). So a default is written once, and choosing
another component never inherits settings of the old one.
"""

from reid.config.checks import config_errors, part_settings, regularizer_of_stage
from reid.config.defaults import default_cfg, known_settings
from reid.config.files import find_config, read_chain
from reid.config.imports import imported_files
from reid.config.loading import load_cfg, load_saved
from reid.config.recipe import data_paths, portable, recipe_hash
from reid.config.trees import difference, dump, leaves, parse_dump
from reid.config.unused import unused_settings

__all__ = [
    "config_errors",
    "data_paths",
    "default_cfg",
    "difference",
    "dump",
    "find_config",
    "imported_files",
    "known_settings",
    "leaves",
    "load_cfg",
    "load_saved",
    "parse_dump",
    "part_settings",
    "portable",
    "read_chain",
    "recipe_hash",
    "regularizer_of_stage",
    "unused_settings",
]
