"""Draws what a tested run found: ranked lists of its worst queries, or of others.

    reid show outputs/market_lfm
    reid show outputs/market_lfm --best 5 --median 5 --worst 5 -o lists.png
    reid show outputs/market_lfm --query 0005_c1s1_001351_00.jpg
    reid show outputs/market_lfm --activations --worst 8

RUN is the OUTPUT_DIR of a tested run, or a folder in its folder test/. A green frame is a match; a
red frame with a cross is another person. Below each picture stand distance, identity and camera;
below the plain ranking stands the re-ranked one, if the test made it. --activations draws where
the network looks on clean, masked, occluded and attacked images; it reads the run's config.yml.
"""

import argparse
from pathlib import Path

from reid.cli._arguments import path
from reid.utils.errors import InputError

HELP = "draw ranked lists, or where the network looks"
USUAL = {"lists": 20, "activations": 8}  # queries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", type=path, metavar="RUN", help="OUTPUT_DIR of a tested run")
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
    parser.add_argument(
        "--activations", action="store_true", help="draw where the network looks instead"
    )
    parser.add_argument(
        "--data", type=path, metavar="FOLDER", help="where the data sets are now, if they moved"
    )
    parser.add_argument(
        "-o", "--output", type=path, metavar="PNG", help="RUN/ranked.png or RUN/activations.png"
    )


def run(args: argparse.Namespace) -> None:
    """Draws the picture."""
    from reid.evaluation.lists import KEPT
    from reid.utils.checks import check_count

    kind = "activations" if args.activations else "lists"
    counts = {which: getattr(args, which) for which in ("worst", "median", "best")}
    counts = {which: count for which, count in counts.items() if count is not None}
    for which, count in counts.items():
        check_count(f"--{which}", count)
    check_count("--hits", args.hits)
    if args.hits > KEPT:
        raise InputError(f"--hits is {args.hits}; a test keeps the first {KEPT} places")
    if not counts and not args.query:
        counts = {"worst": USUAL[kind]}
    output: Path = args.output or args.folder / (
        "activations.png" if args.activations else "ranked.png"
    )
    if output.suffix.lower() != ".png":
        raise InputError(f"--output must end in .png, got {output}")
    if args.activations:
        from reid.jobs.activations import show_activations

        print(show_activations(args.folder, counts, args.query, output, args.data))
    else:
        from reid.jobs.show import show_lists

        shown = show_lists(args.folder, counts, args.query, args.hits, output, args.data)
        print(f"{shown} queries")
    print(f"written: {output}")
