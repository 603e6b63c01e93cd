"""Prints one table of several tested runs.

reid results outputs/a outputs/b --markdown
"""

import argparse
import json
from pathlib import Path

from reid.cli._arguments import path
from reid.utils.errors import InputError

HELP = "set the results of several tested runs side by side"
METRICS = {"mAP": "mAP %", "mINP": "mINP %", "rank1": "Rank-1 %", "rank5": "Rank-5 %"}
OTHERS = {"re_ranked": "re-ranked", "aqe": "AQE", "aqe_re_ranked": "AQE, re-ranked"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folders", nargs="+", type=path, help="OUTPUT_DIR of tested runs")
    parser.add_argument("--markdown", action="store_true", help="as Markdown")


def run(args: argparse.Namespace) -> None:
    """Prints the table."""
    from tabulate import tabulate

    rows = [row for folder in args.folders for row in read_rows(folder)]
    style = "github" if args.markdown else "simple"
    print(tabulate(rows, ("run", *METRICS.values()), tablefmt=style, floatfmt=".1f"))


def read_rows(folder: Path) -> list[list[object]]:
    """Returns a row for the plain ranking of a run, and one for each other that was made."""
    file = folder / "metrics.json"
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read; test the run first: {error}") from error
    rows = [[folder.name, *(100 * metrics[name] for name in METRICS)]]
    for key, name in OTHERS.items():
        if key in metrics:
            rows.append([f"{folder.name}, {name}", *(100 * metrics[key][m] for m in METRICS)])
    return rows
