"""Adds images to an index; those that are in it already are passed over.

    reid index add people more_crops
    reid index add people --features feats.npz

What is kept is kept: a command that was killed goes on where it was when it is run again.
"""

import argparse

from reid.cli.index._arguments import add_content, add_place, content_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the action's arguments."""
    add_place(parser)
    add_content(parser, "the checkpoint, if it is no longer where it was")


def run(args: argparse.Namespace) -> None:
    """Adds the images."""
    from reid.jobs.index import add_to_index

    add_to_index(args.index, content_of(args))
