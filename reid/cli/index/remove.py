"""Removes images from an index; their files may be gone already.

reid index remove people crops/anna crops/ben/1.jpg 'crops/c*/*.png'
reid index remove people --identity carl --camera hall
"""

import argparse

from reid.cli.index._arguments import add_place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the action's arguments."""
    add_place(parser)
    parser.add_argument(
        "words", nargs="*", metavar="PATH", help="an image, a folder with all below it, a pattern"
    )
    for name, what in (("identity", "person"), ("camera", "camera")):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="NAME", help=f"all of this {what}"
        )


def run(args: argparse.Namespace) -> None:
    """Removes the images."""
    from reid.jobs.index import remove_from_index

    remove_from_index(args.index, args.words, args.identity, args.camera)
