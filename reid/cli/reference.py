"""Evaluates what needs no training: matching by colour alone, and chance.

    reid reference --reference color_histogram --config-file synthetic_lfm.yml

A trained model that does not beat the colour histogram by far has learned little.
"""

import argparse

from reid.cli._arguments import add_config

HELP = "evaluate a reference that needs no training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser)
    parser.add_argument("--reference", required=True, choices=("color_histogram", "chance"))


def run(args: argparse.Namespace) -> None:
    """Evaluates the reference."""
    from reid.config import load_cfg
    from reid.evaluation.references import Chance, ColorHistogram
    from reid.jobs.each_set import each_set
    from reid.jobs.test import test_reference

    cfg = load_cfg(args.config_file, args.overrides)
    embed = Chance(cfg.SEED) if args.reference == "chance" else ColorHistogram()
    each_set(cfg, lambda one: test_reference(one, args.reference, embed), args.reference)
