"""Searches an index for images; the nearest come first.

    reid index search people query.jpg
    reid index search people queries.csv -k 20 --other-cameras --re-rank -o hits.png
    reid index search people query.jpg --camera hall --since 2026-11-30T08:00 -o hits.json

A query's own file is left out. In the picture a green frame is the query's person, and a red frame
with a cross another one, where both are known.
"""

import argparse

from reid.cli._arguments import path
from reid.cli.index._arguments import add_content, add_place, content_of
from reid.utils.errors import InputError

RERANKED = 100  # first places that --re-rank looks at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the action's arguments."""
    add_place(parser)
    add_content(parser, "the checkpoint, if it is no longer where it was")
    parser.add_argument("-k", type=int, metavar="N", help="hits of a query (10)")
    for name, what in (
        ("camera", "only hits of this camera"),
        ("without-camera", "no hits of this camera"),
        ("identity", "only hits of this person"),
    ):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"{what}; may be repeated",
        )
    parser.add_argument(
        "--other-cameras", action="store_true", help="no hits of the query's own camera"
    )
    for name in ("since", "until"):
        what = f"only hits {name} this time: seconds, or 2026-11-30T12:00 (UTC)"
        parser.add_argument(f"--{name}", metavar="TIME", help=what)
    parser.add_argument("--keep-itself", action="store_true", help="also find the query's own file")
    parser.add_argument(
        "--re-rank",
        type=int,
        nargs="?",
        const=RERANKED,
        default=0,
        metavar="N",
        help=f"re-rank the first N hits ({RERANKED}) by k-reciprocal neighbours",
    )
    parser.add_argument(
        "--exact", action="store_true", help="search exactly, where the index is approximate"
    )
    parser.add_argument(
        "-o", "--output", type=path, metavar="FILE", help="hits.png, a picture, or hits.json"
    )


def run(args: argparse.Namespace) -> None:
    """Prints the hits, and draws them."""
    from reid.data.image_lists import seconds_of
    from reid.jobs.search import Wish, search_index
    from reid.search import Filter

    moments: dict[str, float | None] = {"since": None, "until": None}
    for name in moments:
        text = getattr(args, name)
        try:
            moments[name] = None if text is None else seconds_of(text)
        except ValueError as error:
            raise InputError(f"--{name}: {error}") from error
    only = Filter(args.camera, args.without_camera, args.identity, **moments)
    rerank = args.re_rank
    if rerank < 0:
        raise InputError(f"--re-rank must be at least 1, got {rerank}")
    if rerank == RERANKED and args.k is not None:
        rerank = max(rerank, args.k)
    wish = Wish(args.k, only, args.other_cameras, args.keep_itself, rerank, args.exact)
    search_index(args.index, content_of(args), wish, args.output)
