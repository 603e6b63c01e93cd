import csv
import dataclasses
import json
import re

import numpy as np
import pytest
from test_result import result

from reid.robustness.report import (
    COLUMNS,
    as_text,
    records,
    table,
    with_worst_cases,
    write_report,
)
from reid.robustness.result import worst_case
from reid.robustness.sanity import Check


def run():
    clean = result([1.0, 0.5, 0.2], [0, 0, 7], "clean", "clean")
    a = result([0.5, 0.5, 0.1], [1, 0, 9], "pgd-fna", change=8.0, seconds=1.0)
    b = result([0.7, 0.1, 0.1], [0, 8, 9], "pgd-sma", change=7.0, seconds=1.0)
    return [clean, a, b]


def test_worst_cases_stand_beside_the_attacks_they_are_made_of() -> None:
    found = with_worst_cases(run())
    assert [o.kind for o in found] == ["clean", "attack", "attack", "worst"]
    assert np.array_equal(found[-1].ap, worst_case(run()[1:]).ap)
    assert len(with_worst_cases(run()[:2])) == 2, "one attack is its own worst case"


def test_budgets_of_two_norms_are_not_mixed() -> None:
    both = [result([0.2], [3], "pgd-sma l2"), result([0.3], [3], "pgd-fna l2")]
    found = with_worst_cases([result([1.0], [0], "clean", "clean"), *both, result([0.1], [1])])
    assert [(o.name, o.ap[0]) for o in found if o.kind == "worst"] == [("worst case l2", 0.2)]


def test_a_fraction_of_a_level_is_printed_as_it_is() -> None:
    quarter = dataclasses.replace(result([0.5], [1], "pgd-fna"), level=0.25)
    rows = records([result([1.0], [0], "clean", "clean"), quarter], seed=0)
    line = next(line for line in as_text(rows).splitlines() if line.startswith("pgd-fna"))
    assert line.split()[1:4] == ["0.25", "plain", "50.0"]


def test_files_agree_with_each_other(tmp_path) -> None:
    results = with_worst_cases(run())
    rows = records(results, seed=0)
    write_report(tmp_path, results, rows, [Check("x", True, "y")], {"weight": "w"})
    assert next(iter(json.loads((tmp_path / "robustness.json").read_text()))) == "sanity"
    report = json.loads((tmp_path / "robustness.json").read_text())
    with (tmp_path / "robustness.csv").open() as file:
        lines = list(csv.DictReader(file))
    arrays = np.load(tmp_path / "per_query.npz")
    assert report["weight"] == "w" and "passed" in report["sanity"]["verdict"]
    assert list(lines[0]) == list(COLUMNS)
    for i, (row, line) in enumerate(zip(report["rows"], lines, strict=True)):
        assert (row["name"], float(line["mAP"])) == (line["name"], pytest.approx(row["mAP"]))
        assert arrays[f"{i}/ap"].mean() == pytest.approx(row["mAP"])
        assert (arrays[f"{i}/first_hit"] == 0).mean() == pytest.approx(row["rank1"])
    assert report["rows"][0]["success"] == 0
    assert report["rows"][3]["mAP"] == pytest.approx((0.5 + 0.1 + 0.1) / 3)


def test_an_undefined_rate_is_null_in_json(tmp_path) -> None:
    none_right = [result([0.1], [5], "clean", "clean"), result([0.1], [5])]
    write_report(tmp_path, none_right, records(none_right, 0), [], {})
    text = (tmp_path / "robustness.json").read_text()
    assert json.loads(text)["rows"][0]["success"] is None
    assert not re.search("NaN", text)


def test_the_table_is_in_percent() -> None:
    rows = table(records(run(), 0))
    assert rows[0][:2] == ["clean", ""]
    assert rows[1][0] == "pgd-fna" and rows[1][3] == pytest.approx(100 * 1.1 / 3)
    assert rows[1][6] == "50.0"
