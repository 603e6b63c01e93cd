"""Sets defences side by side: ``tools/compare_attacks.py lfm=outputs/a,outputs/b plain=outputs/c``.

Each group is a name and the OUTPUT_DIRs of its training seeds, attacked by tools/attack.py.
"""

import argparse
import sys
from pathlib import Path

from tabulate import tabulate

from reid.robustness.compare import METRICS, comparison, distrusted, read_report
from reid.utils import cli
from reid.utils.errors import InputError


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(description="Mean and spread over seeds, defence by defence.")
    parser.add_argument("groups", nargs="+", metavar="NAME=DIR[,DIR...]")
    parser.add_argument("--metric", choices=sorted(METRICS), default="mAP")
    parser.add_argument("--ranking", default="plain", help='e.g. "re-ranked"')
    args = parser.parse_args()
    groups = {}
    for text in args.groups:
        name, equals, folders = text.partition("=")
        if not equals or not name or name in groups:
            raise InputError(f"'{text}': name each group once, as NAME=DIR,DIR")
        groups[name] = [read_report(Path(folder)) for folder in folders.split(",")]
    for line in distrusted(groups):
        print(f"warning: {line}", file=sys.stderr)
    headers, rows = comparison(groups, args.metric, args.ranking)
    runs = ", ".join(str(len(reports)) for reports in groups.values())
    print(f"{METRICS[args.metric]} %, {args.ranking} ranking, mean ± sd over {runs} runs")
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    cli.run(main)
