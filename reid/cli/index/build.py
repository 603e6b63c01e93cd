"""Makes an index of images: exact search, in files that are mapped.

    reid index build people crops --weight outputs/x/best.pth
    reid index build people people.csv --weight outputs/x/best.pth TEST.FLIP True
    reid index build people --features feats.npz

Identities and cameras are read where they are known: from the columns of a list, from names as in
Market-1501, or, of folders of people, from the names of the folders.
"""

import argparse

from reid.cli.index._arguments import add_content, add_place, content_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the action's arguments."""
    add_place(parser)
    add_content(parser, "the checkpoint that embeds the images")
    parser.add_argument(
        "--metric", choices=("euclidean", "cosine"), default="euclidean", help="the distance"
    )
    parser.add_argument(
        "--approximate",
        choices=("hnsw", "ivf"),
        default="",
        help="faster search that misses some hits, for large indexes; needs faiss",
    )


def run(args: argparse.Namespace) -> None:
    """Makes the index."""
    from reid.jobs.index import build_index

    build_index(args.index, content_of(args), args.metric, args.approximate)
