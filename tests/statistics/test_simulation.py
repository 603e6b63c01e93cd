"""A short form of scripts/simulate_compare.py: intervals hold the truth as often as they say."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import simulate_compare
from simulate_compare import Case, simulate, true_difference

STUDIES = 1500  # a share of 95 % has a standard error of 0.6 %
CASES = [
    Case("3 seeds, paired, small", 3, True, 0.06, identities=40),
    Case("3 seeds, not paired, dominant", 3, False, 0.6, identities=40),
    Case("5 seeds, paired, no seed effect", 5, True, 0.0, identities=40),
    Case("5 seeds, not paired, medium", 5, False, 0.15, identities=40, level=3.0),
]
FOUR = [
    Case("2 x 2, 5 seeds, paired", 5, True, 0.06, identities=40, four="2 x 2"),
    Case("2 x 2, 5 seeds, not paired", 5, False, 0.15, identities=40, four="2 x 2"),
    Case("rankings, 5 seeds", 5, True, 0.15, identities=40, four="rankings"),
]


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate_compare, "RESAMPLES", 2000)


def test_intervals_and_tests_hold_what_they_promise() -> None:
    found = [simulate(case, STUDIES, 0.0, seed=11) for case in CASES]
    covered, called = ([one[key] for one in found] for key in ("coverage", "called"))
    for case, share, wrong in zip(CASES, covered, called, strict=True):
        assert 0.935 <= share <= 0.975 and 0.025 <= wrong <= 0.065, (case.name, share, wrong)
    # Of all 6000 studies together: within one point.
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01), covered
    assert np.mean(called) == pytest.approx(0.05, abs=0.01), called


def test_a_difference_that_is_there_is_held_too() -> None:
    found = simulate(CASES[0], STUDIES, 0.25, seed=5)
    assert found["truth"] > 0.03 and found["coverage"] == pytest.approx(0.95, abs=0.02)


def test_interactions_hold_what_they_promise_too() -> None:
    """Both main effects are there in each study, and the interaction is 0."""
    found = [simulate(case, 1000, 0.0, seed=3) for case in FOUR]
    covered, called = ([one[key] for one in found] for key in ("coverage", "called"))
    for case, share, wrong in zip(FOUR, covered, called, strict=True):
        assert 0.93 <= share <= 0.97 and 0.03 <= wrong <= 0.07, (case.name, share, wrong)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01), covered
    assert np.mean(called) == pytest.approx(0.05, abs=0.01), called


def test_the_main_effects_are_no_interaction() -> None:
    case = Case("2 x 2", 2, seed_sd=0.15, identities=30, four="2 x 2")
    rng = np.random.default_rng(0)
    drawn = [simulate_compare.draw_study(case, rng, 0.25)[0] for _ in range(2000)]
    gains = np.array([(one.first.mean, one.second.mean) for one in drawn])
    error = gains.std(0) / np.sqrt(len(gains))
    known = true_difference(case, 0.25)
    assert gains[:, 1].mean() > 0.03 and known > 0.02
    spread = 4 * float(np.hypot(*error))
    assert gains[:, 0].mean() - gains[:, 1].mean() == pytest.approx(known, abs=spread)
    assert true_difference(case, 0.0) == 0


def test_drawing_three_seeds_with_replacement_would_not_do() -> None:
    """The test bites: it sees an interval that is too short."""
    few = Case("3 seeds", 3, True, 0.6, identities=40)
    assert simulate(few, 300, 0.0, seed=1, naive=300)["naive"] < 0.87


def test_the_truth_is_the_mean_over_all_studies() -> None:
    case = Case("many", 2, seed_sd=0.15, identities=30)
    rng = np.random.default_rng(0)
    drawn = [simulate_compare.draw_study(case, rng, 0.25)[0].difference for _ in range(3000)]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert np.mean(drawn) == pytest.approx(true_difference(case, 0.25), abs=4 * error)
