import numpy as np
import pytest

from reid.evaluation import evaluate_rank
from reid.robustness.result import Result, bootstrap, summary, worst_case


def result(ap, hits, name="a", kind="attack", pids=None, **facts) -> Result:
    ap = np.asarray(ap, float)
    pids = np.arange(len(ap)) if pids is None else np.asarray(pids)
    index = np.arange(len(ap))
    return Result(kind, name, 8.0, "plain", index, pids, ap, ap / 2, np.asarray(hits), facts)


def test_the_worst_case_is_the_mean_of_minima_and_not_the_least_mean() -> None:
    a = result([1.0, 0.2, 0.6], [0, 3, 0])
    b = result([0.4, 0.8, 0.6], [1, 0, 0], "b")
    worst = worst_case([a, b])
    assert worst.ap.tolist() == [0.4, 0.2, 0.6]
    assert worst.first_hit.tolist() == [1, 3, 0]
    assert worst.hit.mean() == pytest.approx(1 / 3)
    assert worst.ap.mean() < min(a.ap.mean(), b.ap.mean())
    assert (worst.inp <= np.minimum(a.inp, b.inp)).all()


def test_success_counts_only_what_was_right_before() -> None:
    clean = result([1, 1, 1, 0.2], [0, 0, 0, 5], kind="clean")
    after = result([0.1, 1, 0.1, 0.1], [4, 0, 9, 7])
    row = summary(after, clean, seed=0)
    assert row["success"] == pytest.approx(2 / 3)
    assert row["rank1"] == pytest.approx(1 / 4)
    assert row["rank5"] == pytest.approx(2 / 4)
    assert row["mAP"] == pytest.approx(1.3 / 4)
    assert row["mINP"] == pytest.approx(0.65 / 4)


def test_success_is_undefined_where_nothing_was_right() -> None:
    clean = result([0.1, 0.1], [5, 5], kind="clean")
    row = summary(result([0.1, 0.0], [5, 6]), clean, seed=0)
    assert np.isnan(row["success"]) and np.isnan(row["success_low"])


def test_facts_stand_in_the_row() -> None:
    clean = result([1.0], [0], kind="clean")
    assert summary(result([0.5], [1], change=8.0), clean, 0)["change"] == 8.0


def test_the_interval_has_the_width_that_theory_gives_for_independent_groups() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(400)
    low, high = bootstrap(values, np.ones(400), np.arange(400), seed=1)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_copies_of_a_query_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(0).random(50)
    alone = bootstrap(values, np.ones(50), np.arange(50), seed=1)
    copied = bootstrap(np.repeat(values, 9), np.ones(450), np.repeat(np.arange(50), 9), seed=1)
    assert copied == pytest.approx(alone)


def test_the_interval_is_that_of_the_resampled_ratios() -> None:
    top, bottom, groups = np.array([1.0, 0, 2]), np.array([1.0, 1, 4]), np.array([7, 7, 9])
    rng, ratios = np.random.default_rng(5), []
    for times in rng.multinomial(2, [0.5, 0.5], 100):
        drawn = np.repeat([[1.0, 2.0], [2.0, 4.0]], times, axis=0)  # (top, bottom) of each group
        ratios.append(drawn[:, 0].sum() / drawn[:, 1].sum())
    expected = np.percentile(ratios, [2.5, 97.5])
    assert bootstrap(top, bottom, groups, seed=5, resamples=100) == pytest.approx(expected)


def test_an_outcome_takes_over_the_ranking_of_valid_queries() -> None:
    dist = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]])
    q_pids = np.array([1, 5, 2])
    ranking = evaluate_rank(dist, q_pids, np.array([2, 1, 1]), np.zeros(3, int), np.ones(3, int))
    found = Result.of("attack", "x", 4, "plain", ranking, q_pids, {})
    assert found.query_index.tolist() == [0, 2] and found.pids.tolist() == [1, 2]
    assert found.ap == pytest.approx([(1 / 2 + 2 / 3) / 2, 1.0])
    assert found.hit.tolist() == [False, True]
