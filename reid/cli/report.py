"""Writes one HTML file about runs: results, curves, cameras, ranked lists, commands.

    reid report outputs/market_lfm -o report.html
    reid report outputs/lfm_s0 outputs/lfm_s1 outputs/baseline_s0 --title "LFM against the baseline"
    reid report outputs                                      # all runs in a folder
    reid report --check table.tex.json                       # a table of reid compare, once more
    reid report --check docs                                 # all such tables in a folder

The file needs no network and no other file. It shows what is there: tests (reid test), training
curves (reid train), attacks (reid attack), a check of the data (reid check-data), and the maps of
`reid show RUN --activations`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from reid.cli._arguments import path
from reid.utils.errors import InputError

SAME = "the runs give the same table"
HELP = "write one HTML file about some runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "folders", nargs="+", type=path, metavar="RUN|FOLDER", help="runs, or folders of runs"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="what is named are the JSON files beside tables of `reid compare`, or folders of such:"
        " compute the tables again from the runs, and say what differs; the exit code is 1 if"
        " anything does",
    )
    parser.add_argument(
        "-o", "--output", type=path, default=Path("report.html"), metavar="HTML",
        help="the file (report.html)",
    )  # fmt: skip
    parser.add_argument("--title", default="", help="title of the page; the names of the runs")
    parser.add_argument(
        "--queries", type=int, default=6, metavar="N",
        help="show the N worst queries of each test, and half as many median and best ones (6)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=path, metavar="FOLDER", help="where the data sets are now, if they moved"
    )


def run(args: argparse.Namespace) -> None:
    """Writes the report, or checks published tables."""
    if args.check:
        _check(args.folders)
        return
    from reid.jobs.report import report
    from reid.utils.checks import check_count

    check_count("--queries", args.queries, least=0)
    if args.output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output must end in .html, got {args.output}")
    half = (args.queries + 1) // 2
    counts = {"worst": args.queries, "median": half, "best": half}
    title = args.title or "Report on " + ", ".join(f.resolve().name for f in args.folders)
    runs = report(args.folders, args.output, title, counts, args.data)
    size = args.output.stat().st_size / 2**20
    print(f"written: {args.output}, {len(runs)} run{'s' * (len(runs) != 1)}, {size:.1f} MiB")


def _check(places: Sequence[Path]) -> None:
    """Says of each published table whether the runs still give it; exits with 1 if one differs."""
    from reid.jobs.comparing.checking import check_all

    found = check_all(places)
    for place, differs in found.items():
        good = "the tables are those of their files" if place.suffix == ".md" else SAME
        print(f"{place}: {'; '.join(differs) or good}")
    wrong = sum(bool(differs) for differs in found.values())
    if len(found) > 1:
        print(f"{len(found) - wrong} of {len(found)} files are right")
    if wrong:
        raise SystemExit(1)
