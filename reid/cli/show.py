"""Draws what a tested run found: ranked lists of its worst queries, or of others.

    reid show outputs/market_lfm
    reid show outputs/market_lfm --best 5 --median 5 --worst 5 -o lists.png
    reid show outputs/market_lfm --query 0005_c1s1_001351_00.jpg
    reid show outputs/market_lfm --activations --worst 8
    reid show outputs/market_baseline outputs/market_lfm --activations --worst 4
    reid show outputs/market_baseline outputs/market_lfm --mechanism

RUN is the OUTPUT_DIR of a tested run, or a folder in its folder test/. A green frame is a match; a
red frame with a cross is another person. Below each picture stand distance, identity and camera;
below the plain ranking stands the re-ranked one, if the test made it. --activations draws where
the network looks on clean, masked, occluded and attacked images; of several runs that were tested
on the same images, each query has a row for each. --mechanism measures, run beside run, the first
layer and the pixel gradients. Both read each run's config.yml.
"""

import argparse
from pathlib import Path

from reid.cli._arguments import path
from reid.utils.errors import InputError

HELP = "draw ranked lists, or where the network looks; measure how networks differ inside"
USUAL = {"lists": 20, "activations": 8}  # queries
FILES = {
    "lists": "ranked.png",
    "activations": "activations.png",
    "several": "activations_beside.png",
    "mechanism": "mechanism.json",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "folders", type=path, nargs="+", metavar="RUN", help="OUTPUT_DIR of a tested run"
    )
    for which in ("worst", "median", "best"):
        what = f"show N queries of the {which} average precision"
        parser.add_argument(f"--{which}", type=int, metavar="N", help=what)
    parser.add_argument(
        "--query",
        action="append",
        default=[],
        metavar="NAME",
        help="show the query of this file; may be given several times",
    )
    parser.add_argument("--hits", type=int, default=10, metavar="N", help="places of a list (10)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--activations", action="store_true", help="draw where the network looks instead"
    )
    instead.add_argument(
        "--mechanism",
        action="store_true",
        help="measure the first layer and the pixel gradients instead",
    )
    parser.add_argument(
        "--eps",
        type=float,
        default=4.0,
        metavar="LEVELS",
        help="change of a pixel (4), --mechanism",
    )
    parser.add_argument(
        "--data", type=path, metavar="FOLDER", help="where the data sets are now, if they moved"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=path,
        metavar="FILE",
        help="ranked.png, activations.png (activations_beside.png of several runs) or"
        " mechanism.json in the first RUN",
    )


def run(args: argparse.Namespace) -> None:
    """Draws the picture, or measures."""
    kind = "activations" if args.activations else "mechanism" if args.mechanism else "lists"
    counts = _counts(args)
    if not counts and not args.query and kind in USUAL:
        counts = {"worst": USUAL[kind]}
    several = kind == "activations" and len(args.folders) > 1
    file = FILES["several" if several else kind]
    output: Path = args.output or args.folders[0] / file
    if output.suffix.lower() != Path(file).suffix:
        raise InputError(f"--output must end in {Path(file).suffix}, got {output}")
    if kind == "activations":
        from reid.jobs.activations import show_activations

        print(show_activations(args.folders, counts, args.query, output, args.data))
    elif kind == "mechanism":
        from reid.jobs.mechanism import show_mechanism

        print(show_mechanism(args.folders, counts, args.query, args.eps, output, args.data))
    else:
        print(_lists(args, counts, output))
    print(f"written: {output}")


def _counts(args: argparse.Namespace) -> dict[str, int]:
    """Returns how many queries are asked for, by the precision that they have."""
    from reid.utils.checks import check_count, check_range

    counts = {which: getattr(args, which) for which in ("worst", "median", "best")}
    counts = {which: count for which, count in counts.items() if count is not None}
    for which, count in counts.items():
        check_count(f"--{which}", count)
    check_count("--hits", args.hits)
    check_range("--eps", args.eps, 0, 255, above=True)
    return counts


def _lists(args: argparse.Namespace, counts: dict[str, int], output: Path) -> str:
    """Draws ranked lists, and says of how many queries."""
    from reid.evaluation.lists import KEPT
    from reid.jobs.show import show_lists

    if len(args.folders) > 1:
        raise InputError(
            f"ranked lists are drawn of one run, and {len(args.folders)} are named; name one, or"
            " ask for --activations or --mechanism"
        )
    if args.hits > KEPT:
        raise InputError(f"--hits is {args.hits}; a test keeps the first {KEPT} places")
    shown = show_lists(args.folders[0], counts, args.query, args.hits, output, args.data)
    return f"{shown} queries"
