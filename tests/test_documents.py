"""Tables of docs/results.md that are older than ``reid ablate --export``.

Their JSON has means of each run, but no AP of queries, so that ``reid report --check docs`` cannot
compute them anew; means and standard deviations follow from it all the same.
"""

import json
from statistics import mean, stdev
from typing import Any

import pytest
from commands import ROOT

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
