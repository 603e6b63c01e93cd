"""Tables of the documents follow from the files under docs/results/.

Those of exported studies are computed anew by ``reid report --check docs``. The others are older,
or of another kind: their JSON has means of each run, from which means and deviations follow.
"""

import json
from statistics import mean, stdev
from typing import Any

import pytest
from commands import ROOT, run

TEXT = (ROOT / "docs/results.md").read_text(encoding="utf-8")
QUICK = json.loads((ROOT / "docs/results/quick_recipes.json").read_text())
VIPER = json.loads((ROOT / "docs/results/viper.json").read_text())
METRICS = ("mAP", "mINP", "rank1", "rank5")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def row(first: str, count: int) -> list[str]:
    """The cells behind the first one, of the only row with so many that begins with it."""
    found = [cells(line) for line in TEXT.splitlines() if line.startswith("|")]
    (one,) = [row[1:] for row in found if row[0] == first and len(row) == 1 + count]
    return one


def spread(runs: list[dict[str, Any]], metrics: tuple[str, ...]) -> list[str]:
    columns = [[100 * run[metric] for run in runs] for metric in metrics]
    return [f"{mean(values):.1f} ± {stdev(values):.1f}" for values in columns]


@pytest.mark.parametrize("recipe", ["baseline", "sbs", "agw", "released"])
@pytest.mark.parametrize("end", ["", "_lfm"])
def test_recipes_are_the_means_of_their_runs(recipe: str, end: str) -> None:
    runs = [run for run in QUICK["runs"] if run["run"] == recipe + end]
    seeds = ", ".join(str(run["seed"]) for run in runs)
    assert row(recipe + end, 5) == [seeds, *spread(runs, METRICS)]
    re_ranked = [run["re_ranked"] for run in runs]
    assert row(f"{recipe}{end}, re-ranked", 5) == [seeds, *spread(re_ranked, METRICS)]


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("baseline", "baseline"), ("SBS", "sbs"), ("AGW", "agw"), ("released", "released")],
)
def test_differences_are_those_that_were_kept(name: str, recipe: str) -> None:
    said = []
    for one in QUICK["comparisons"][recipe]:
        low, high = (f"{100 * one[key]:+.1f}" for key in ("low", "high"))
        said += [f"{100 * one['difference']:+.1f}", f"{low} .. {high}"]
        said.append(f"{one['p_holm']:.3f}".removeprefix("0"))
        runs = [[run for run in QUICK["runs"] if run["run"] == one[side]]
                for side in ("first", "second")]  # fmt: skip
        if one["test"] != "clean":
            runs = [[run["re_ranked"] for run in group] for group in runs]
        first, second = (mean(run["mAP"] for run in group) for group in runs)
        assert one["difference"] == pytest.approx(first - second, abs=2e-6)
    assert row(name, 7)[:-1] == said


@pytest.mark.parametrize(
    ("run", "first"),
    [
        ("baseline", "ResNet-18"),
        ("convnext", "ConvNeXt (atto)"),
        ("osnet", "OSNet x1.0"),
        ("vit", "ViT-tiny, patches of 16"),
        ("mobilenet_v2", "MobileNetV2"),
    ],
)
def test_networks_are_their_runs(run: str, first: str) -> None:
    one = next(one for one in QUICK["runs"] if one["run"] == run and one["seed"] == 0)
    said = [f"{100 * one[metric]:.1f}" for metric in METRICS]
    again = one["re_ranked"]
    assert row(first, 6)[1:] == [*said, f"{100 * again['mAP']:.1f}, {100 * again['rank1']:.1f}"]


def test_viper_is_the_mean_over_its_splits() -> None:
    metrics = ("mAP", "rank1", "rank5")
    assert len(VIPER["runs"]) == len(VIPER["untrained"]) == 10
    untrained = row("ImageNet weights, no training on people", 3)
    assert untrained == spread(VIPER["untrained"], metrics)
    trained = row("`configs/viper.yml`, 30 epochs, one seed", 3)
    assert trained == spread(VIPER["runs"], metrics)
    re_ranked = [run["re_ranked"] for run in VIPER["runs"]]
    assert row("the same, re-ranked", 3)[:2] == spread(re_ranked, ("mAP", "rank1"))


def test_published_tables_are_those_that_the_studies_give() -> None:
    done = run("report", "--check", ROOT / "docs")
    assert "record_wide.md" in done.stdout and "record_viper.md" in done.stdout


RECORD = (ROOT / "docs/record.md").read_text(encoding="utf-8")


def test_the_verdicts_have_the_numbers_of_the_tables() -> None:
    """Differences of mAP in the table of verdicts, and in README, are those of the primary rows."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("(95 %: ", "(")
    for study in ("wide", "viper"):
        table = json.loads((ROOT / f"docs/results/record_{study}.md.json").read_text())
        rows = {row["test"]: row for row in table["tables"][0]["rows"]}
        for row in rows.values():
            difference, low, high = (
                f"{100 * row[key]:+.1f}" for key in ("difference", "low", "high")
            )
            assert f"{difference} ({low} .. {high})" in RECORD
            assert f"{difference} ({low} .. {high})" in readme


def test_the_other_tables_of_the_record_follow_from_their_files() -> None:
    runs = json.loads((ROOT / "docs/results/record_prid2011.json").read_text())["runs"]
    for variant, word in (("lfm", "with"), ("plain", "without")):
        values = [100 * run["mAP"] for run in runs if run["variant"] == variant]
        assert len(values) == 10
        assert f"{mean(values):.1f} ± {stdev(values):.1f} {word}" in " ".join(RECORD.split())
    runs = json.loads((ROOT / "docs/results/record_mechanism.json").read_text())["runs"]
    for key, name, factor, digits in (
        ("gain", "gain", 1, 3),
        ("low_frequencies", "low frequencies, % of the gradient", 100, 1),
        ("smoothness", "actual / foretold rise", 1, 2),
        ("norm_on_person", "activation energy on the person, %", 100, 1),
    ):
        values = [f"{factor * run[key]:.{digits}f}" for run in runs]
        assert f"| {name} | {', '.join(values[:3])} | {', '.join(values[3:])} |" in RECORD
    checks = json.loads((ROOT / "docs/results/record_sanity.json").read_text())
    assert len(checks) == 6 and all(check["passed"] for check in checks)


def test_the_accuracy_in_training_is_that_of_the_cells() -> None:
    cells = json.loads((ROOT / "docs/results/record_wide.json").read_text())["cells"].values()
    values = {
        name: mean(cell["trained"]["accuracy"] for cell in cells if cell["variant"] == name)
        for name in ("plain", "lfm")
    }
    assert f"is {values['plain']:.2f} without and {values['lfm']:.2f} with LFM" in RECORD
