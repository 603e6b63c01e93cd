"""The older name of `reid compare --only attack --only corruption`, which it calls.

reid compare-attacks lfm=outputs/a,outputs/b plain=outputs/c,outputs/d
"""

import argparse

from reid.cli import compare

HELP = "the older name of `reid compare` for attacks and corruptions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments: those of ``reid compare``."""
    compare.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Compares the attack reports."""
    args.only = args.only or ["attack", "corruption"]
    compare.run(args)
