"""Prints one table of several runs: ``python tools/results.py outputs/a outputs/b``."""

import argparse
import json
from pathlib import Path

from tabulate import tabulate

from reid.utils import cli
from reid.utils.errors import InputError

METRICS = {"mAP": "mAP %", "mINP": "mINP %", "rank1": "Rank-1 %", "rank5": "Rank-5 %"}
OTHERS = {"re_ranked": "re-ranked", "aqe": "AQE", "aqe_re_ranked": "AQE, re-ranked"}


def read_rows(folder: Path) -> list[list[object]]:
    """Returns a row for the plain ranking of a run, and one for each other that was made."""
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read; test the run first: {error}") from error
    rows = [[folder.name, *(100 * metrics[name] for name in METRICS)]]
    for key, name in OTHERS.items():
        if key in metrics:
            rows.append([f"{folder.name}, {name}", *(100 * metrics[key][m] for m in METRICS)])
    return rows


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(description="Tabulate the metrics.json of several runs.")
    parser.add_argument("folders", nargs="+", type=Path, help="OUTPUT_DIR of tested runs")
    parser.add_argument("--markdown", action="store_true", help="as Markdown")
    args = parser.parse_args()
    rows = [row for folder in args.folders for row in read_rows(folder)]
    style = "github" if args.markdown else "simple"
    print(tabulate(rows, ("run", *METRICS.values()), tablefmt=style, floatfmt=".1f"))


if __name__ == "__main__":
    cli.run(main)
