"""Sets defences side by side: mean and spread over training seeds.

    reid compare-attacks lfm=outputs/a,outputs/b plain=outputs/c,outputs/d

Each group is a name and the OUTPUT_DIRs of its training seeds, attacked by `reid attack`.
"""

import argparse
import os
import sys
from pathlib import Path

from reid.utils.errors import InputError

HELP = "set the attack reports of several defences side by side"
METRICS = ("mAP", "mINP", "rank1", "success")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("groups", nargs="+", metavar="NAME=DIR[,DIR...]")
    parser.add_argument("--metric", choices=METRICS, default="mAP")
    parser.add_argument("--ranking", default="plain", help='e.g. "re-ranked"')


def run(args: argparse.Namespace) -> None:
    """Prints the table."""
    from tabulate import tabulate

    from reid.robustness.compare import METRICS, comparison, distrusted, read_report

    groups = {}
    for text in args.groups:
        name, equals, folders = text.partition("=")
        if not equals or not name or name in groups:
            raise InputError(f"'{text}': name each group once, as NAME=DIR,DIR")
        if not all(folders.split(",")):
            raise InputError(f"'{text}' names an empty folder; write NAME=DIR,DIR")
        groups[name] = [
            read_report(Path(os.path.expanduser(folder))) for folder in folders.split(",")
        ]
    for line in distrusted(groups):
        print(f"warning: {line}", file=sys.stderr)
    headers, rows = comparison(groups, args.metric, args.ranking)
    runs = ", ".join(str(len(reports)) for reports in groups.values())
    print(
        f"{METRICS[args.metric]} %, {args.ranking} ranking, mean ± sd over {runs} runs\n"
        + tabulate(rows, headers, tablefmt="github", disable_numparse=True)
    )
