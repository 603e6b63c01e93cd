"""Says what an index holds, and which model it was built with.

reid index info people
reid index info people --check
"""

import argparse

from reid.cli.index._arguments import add_place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the action's arguments."""
    add_place(parser)
    parser.add_argument(
        "--check", action="store_true", help="read all files, and compare their checksums"
    )


def run(args: argparse.Namespace) -> None:
    """Prints what is known."""
    from reid.jobs.index import index_info

    print(index_info(args.index, args.check))
