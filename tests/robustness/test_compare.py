import json
import math

import pytest

from reid.robustness.compare import comparison, distrusted, read_report
from reid.utils.errors import InputError


def report(clean: float, attacked: float, **changes) -> dict:
    def row(kind: str, name: str, level: float, value: float) -> dict:
        numbers = {"mAP": value, "rank1": value / 2, "mINP": value / 4, "success": None}
        return {"kind": kind, "name": name, "level": level, "ranking": "plain", **numbers}

    rows = [row("clean", "clean", 0.0, clean), row("attack", "pgd-fna", 8.0, attacked)]
    facts = {"weight": "w", "num_queries": 5, "attack": {"ATTACK.SIDE": "query"}, "rows": rows}
    return {**facts, "surrogate": None, "sanity": {"verdict": "", "checks": []}, **changes}


def test_mean_and_spread_over_seeds() -> None:
    groups = {"lfm": [report(0.7, 0.1), report(0.8, 0.3)], "plain": [report(0.9, 0.0)]}
    headers, rows = comparison(groups)
    assert headers == ["perturbation", "lfm", "plain"]
    sd = math.sqrt(((70 - 75) ** 2 + (80 - 75) ** 2) / 1)
    assert rows[0] == ["clean", f"75.0 ± {sd:.1f}", "90.0"]
    assert rows[1] == ["pgd-fna 8", "20.0 ± 14.1", "0.0"]
    assert comparison(groups, "rank1")[1][0][2] == "45.0"


def test_runs_attacked_in_different_ways_are_not_compared() -> None:
    base = report(0.7, 0.1)
    with pytest.raises(InputError, match="queries"):
        comparison({"a": [base], "b": [report(0.7, 0.1, num_queries=6)]})
    other = report(0.7, 0.1, attack={"ATTACK.SIDE": "gallery"})
    with pytest.raises(InputError, match=r"ATTACK\.SIDE"):
        comparison({"a": [base, other]})
    with pytest.raises(InputError, match="surrogate"):
        comparison({"a": [base, report(0.7, 0.1, surrogate="x.pth")]})
    with pytest.raises(InputError, match="no row pgd-fna 8"):
        comparison({"a": [base], "b": [report(0.7, 0.1, rows=base["rows"][:1])]})
    with pytest.raises(InputError, match="hold plain"):
        comparison({"a": [base]}, ranking="re-ranked")


def test_reports_are_found_in_the_run_or_in_its_attack_folder(tmp_path) -> None:
    (tmp_path / "a" / "attack").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "a" / "attack"):
        (folder / "robustness.json").write_text(json.dumps(report(0.5, 0.1)))
    assert read_report(tmp_path)["rows"] == read_report(tmp_path / "a")["rows"]
    with pytest.raises(InputError, match=r"attack the run first \(reid attack\)"):
        read_report(tmp_path / "nowhere")
    for text in ("{}", "nothing", '{"rows": []}'):
        (tmp_path / "robustness.json").write_text(text)
        with pytest.raises(InputError, match="no report"):
            read_report(tmp_path)


def test_a_report_that_failed_its_checks_is_named() -> None:
    failed = {"verdict": "DO NOT TRUST", "checks": [{"passed": True}, {"passed": False}]}
    groups = {"a": [report(0.7, 0.1)], "b": [report(0.7, 0.1, sanity=failed)]}
    assert distrusted(groups) == ["b, w: DO NOT TRUST"]


def test_other_numbers_of_steps_are_no_rows_of_the_table() -> None:
    base = report(0.7, 0.1)
    base["rows"] = [*base["rows"], {**base["rows"][1], "kind": "steps", "mAP": 0.5}]
    assert [row[0] for row in comparison({"a": [base]})[1]] == ["clean", "pgd-fna 8"]
