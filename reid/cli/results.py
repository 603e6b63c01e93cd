"""Prints the results of tested runs: a table for each data set, protocol and gallery.

    reid results outputs/a outputs/b --markdown
    reid results outputs --sort mAP                    a tree: seeds of a recipe together
    reid results outputs/study --only 'lfm*' --runs    the same, each run by itself
    reid results docs/results/study.json               what reid ablate --export wrote

Each folder is the OUTPUT_DIR of a run, or holds runs at any depth. What was tested on other images
or under another protocol stands in another table, because such numbers cannot be compared. Runs of
one recipe with several seeds get a row with their mean ± standard deviation. Runs that are
unfinished, diverged or failed are marked, and are in no mean. If a run was tested on several data
sets, a matrix of runs and data sets comes last.
"""

import argparse

from reid.cli._arguments import path
from reid.utils.errors import InputError

HELP = "set the results of several tested runs, or of folders of runs, side by side"
_SORT = ("mAP", "mINP", "rank1", "rank5", "run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "folders", nargs="+", type=path, help="OUTPUT_DIR of runs, or what holds them"
    )
    parser.add_argument("--markdown", action="store_true", help="as Markdown")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="show these runs; * and ? stand for other letters; may be given several times",
    )
    parser.add_argument("--sort", default="", choices=_SORT, help="the best first, or by name")
    parser.add_argument(
        "--runs", action="store_true", help="show each run in a tree, and not only means of seeds"
    )


def run(args: argparse.Namespace) -> None:
    """Prints the tables."""
    from tabulate import tabulate

    from reid.jobs.results.read import read_all
    from reid.jobs.results.tables import HEADERS, alike, chosen, matrix, table

    tested, without, trees = read_all(args.folders)
    names = chosen([*(one.run for one in tested), *without], args.only)
    if not names:
        raise InputError(f"--only {' '.join(args.only)} means none of the runs")
    groups = alike([one for one in tested if one.run in names])
    if len(groups) > 1:
        print(f"{len(groups)} tables: numbers of different tables cannot be compared\n")
    style = "github" if args.markdown else "simple"
    for group in groups:
        rows, notes = table(group, trees and not args.runs, args.sort)
        # Numbers are texts here, so that a mean can carry its standard deviation.
        aligned = ("left", *["right"] * (len(HEADERS) - 1))
        body = tabulate(rows, HEADERS, style, disable_numparse=True, colalign=aligned)
        print("\n".join([group[0].title, "", body, *notes, ""]))
    if cells := matrix(groups):
        heads, *body_rows = cells
        aligned = ("left", *["right"] * (len(heads) - 1))
        body = tabulate(body_rows, heads, style, disable_numparse=True, colalign=aligned)
        print(f"mAP % by run and data set\n\n{body}\n")
    untested = {name: state for name, state in without.items() if name in names}
    if untested:
        print(f"runs without a result: {len(untested)}")
        for name, state in untested.items():
            print(f"  {name}: {state}")
