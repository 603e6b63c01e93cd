"""Arguments that several actions of ``reid index`` share."""

import argparse
from typing import TYPE_CHECKING

from reid.cli._arguments import add_device, path, split_sources
from reid.utils.errors import InputError

if TYPE_CHECKING:
    from reid.jobs.index import Content

PLACE = "the index: a folder, or a database (qdrant:FOLDER/NAME, qdrant:http://host:6333/NAME)"


def add_place(parser: argparse.ArgumentParser) -> None:
    """Adds ``INDEX``."""
    parser.add_argument("index", metavar="INDEX", help=PLACE)


def add_content(parser: argparse.ArgumentParser, weight: str) -> None:
    """Adds ``[SOURCE ...] [KEY VALUE ...]``, ``--features``, ``--weight`` and ``--device``.

    Args:
        parser: Gets the arguments.
        weight: What to say of ``--weight``.
    """
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="a folder, a list (.csv with the columns path and, where known, identity, camera,"
        " time; .txt), a pattern, or an image; behind the last one settings KEY VALUE",
    )
    parser.add_argument(
        "--features", type=path, metavar="FILE", help="what `reid embed` wrote, instead of images"
    )
    parser.add_argument("--weight", type=path, metavar="FILE", help=weight)
    add_device(parser)


def content_of(args: argparse.Namespace) -> "Content":
    """Returns what the arguments name."""
    from reid.jobs.index import Content

    sources, overrides = split_sources(args.sources) if args.sources else ([], [])
    if overrides and args.features is not None:
        raise InputError(f"{overrides[0]} changes nothing in features that are there")
    return Content(sources, args.features, args.weight, args.device, overrides)
