"""Files of a robustness run: a table as JSON and CSV, and the numbers of each query."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from reid.evaluation.verification.wording import PAIR_HEADERS, pair_table
from reid.robustness.attack import L2_MARK
from reid.robustness.result import Result, summary, worst_case
from reid.robustness.sanity import Check, verdict
from reid.utils.logs import write_text, write_whole

HEADERS = ("perturbation", "eps", "ranking", "mAP %", "mINP %", "Rank-1 %", "success %", "95 % mAP")
COLUMNS = (
    *("kind", "name", "level", "ranking"),
    *(
        f"{name}{end}"
        for name in ("mAP", "mINP", "rank1", "rank5", "success")
        for end in ("", "_low", "_high")
    ),
    *("steps", "change", "reached", "attacks", "seconds", "passes"),
)


def with_worst_cases(results: Sequence[Result]) -> list[Result]:
    """Returns the results and, for each budget and ranking with several attacks, the worst case."""
    out = list(results)
    attacks = [o for o in results if o.kind == "attack"]
    for key in sorted({_budget(o) for o in attacks}):
        group = [o for o in attacks if _budget(o) == key]
        if len(group) > 1:
            out.append(worst_case(group, f"worst case{L2_MARK if key[0] else ''}"))
    return out


def _budget(result: Result) -> tuple[bool, float, str]:
    return result.name.endswith(L2_MARK), result.level, result.ranking


def records(results: Sequence[Result], seed: int) -> list[dict[str, Any]]:
    """Returns one flat record for each result.

    Metrics are fractions. The level is a budget in 1/255, or the severity of a corruption.

    Args:
        results: Results of one run, with the clean ones.
        seed: Seed of the bootstrap.
    """
    clean = {o.ranking: o for o in results if o.kind == "clean"}
    return [
        {
            **{key: getattr(o, key) for key in ("kind", "name", "level", "ranking")},
            **summary(o, clean[o.ranking], seed),
        }
        for o in results
    ]


def table(rows: Sequence[dict[str, Any]]) -> list[list[object]]:
    """Returns the rows under ``HEADERS``, in percent."""
    return [
        [
            row["name"],
            "" if row["kind"] == "clean" else f"{row['level']:g}",
            row["ranking"],
            *(100 * row[key] for key in ("mAP", "mINP", "rank1")),
            "" if row["kind"] == "clean" else f"{100 * row['success']:.1f}",
            f"{100 * row['mAP_low']:.1f}..{100 * row['mAP_high']:.1f}",
        ]
        for row in rows
    ]


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as a table for the log; budgets are not rounded (0.25 stays 0.25).

    Args:
        rows: From :func:`records`.
    """
    return tabulate(table(rows), HEADERS, floatfmt=".1f", disable_numparse=[1, 6, 7])


def pairs_as_text(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the table of pairs for the log; "" if verification was not measured.

    Args:
        rows: From :func:`records`.
    """
    cells = pair_table(rows)
    return tabulate(cells, PAIR_HEADERS, disable_numparse=[1, 2, 4, 6]) if cells else ""


def write_report(
    folder: Path,
    results: Sequence[Result],
    rows: Sequence[dict[str, Any]],
    checks: Sequence[Check],
    facts: dict[str, Any],
) -> None:
    """Writes robustness.json, robustness.csv and per_query.npz, which contains no pickle.

    per_query.npz holds, for row i of the JSON, the arrays ``i/ap``, ``i/inp`` and
    ``i/first_hit`` of the queries ``query_index``, whose identities are ``pids``.

    Args:
        folder: Folder of the three files.
        results: Results of the run.
        rows: From :func:`records`.
        checks: Sanity checks; empty if they were not run.
        facts: Further entries of robustness.json.
    """
    arrays = {
        f"{i}/{key}": getattr(o, key)
        for i, o in enumerate(results)
        for key in ("ap", "inp", "first_hit")
    }
    arrays |= {"query_index": results[0].query_index, "pids": results[0].pids}
    write_whole(folder / "per_query.npz", lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "robustness.csv", out.getvalue())
    sanity = {
        "verdict": verdict(checks) if checks else "not run: add --sanity",
        "checks": [vars(check) for check in checks],
    }
    # The last file: where it is, the others are.
    text = json.dumps({"sanity": sanity, **facts, "rows": _plain(rows)}, indent=2)
    write_text(folder / "robustness.json", text + "\n")


def _plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replaces NaN by None, because JSON has no NaN."""
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]
