"""Bootstrap and exchanges beside the slow way: query by query, and all exchanges there are."""

import itertools

import numpy as np
import pytest
from scipy import stats

from reid.statistics.components import components
from reid.statistics.groups import Block, Group
from reid.statistics.permutation import exchange_of_runs, null_differences, p_value
from reid.statistics.resampling import Draws, bootstrap_errors, interval, narrowing

RNG = np.random.default_rng(3)
PIDS = RNG.integers(0, 9, 40)


def block(runs: int, paired: bool = False) -> Block:
    rng = np.random.default_rng(runs)
    values = rng.random((2, runs, len(PIDS)))
    return Block(*(Group.of(one, PIDS) for one in values), paired=paired)


def test_draws_depend_on_the_seed_alone() -> None:
    one, same, other = Draws(50, 1), Draws(50, 1), Draws(50, 2)
    same.signs(9, 0)  # the order of calls does not matter
    for name in ("times", "signs"):
        first, second, third = (getattr(draws, name)(9, 0) for draws in (one, same, other))
        assert np.array_equal(first, second) and not np.array_equal(first, third)
        assert not np.array_equal(first, getattr(one, name)(9, 1)), "query sets have their own"
    assert np.array_equal(one.student(2, 0), same.student(2, 0))


def test_a_resample_draws_as_many_identities_as_there_are() -> None:
    times = Draws(4000).times(9, 0)
    assert (times.sum(1) == 9).all() and times.mean(0) == pytest.approx([1] * 9, abs=0.06)
    assert times.var(0) == pytest.approx([8 / 9] * 9, rel=0.1)


def test_the_level_of_identities_is_the_loop_over_queries() -> None:
    """With one run each there is no other level; the factors of the scale are taken out."""
    one, draws = block(1), Draws(200)
    parts = components(one)
    errors = bootstrap_errors(one, parts, draws) / draws.unsure(parts.identities_df, 0)
    _, place = np.unique(PIDS, return_inverse=True)
    values = [np.random.default_rng(1).random((2, 1, len(PIDS)))[k, 0] for k in range(2)]
    slow = []
    for times in draws.times(9, 0).astype(int):
        rows = [
            row
            for who in range(9)
            for _ in range(times[who])
            for row in np.flatnonzero(place == who)
        ]
        slow.append(values[0][rows].mean() - values[1][rows].mean())
    effective = one.effective_identities
    scale = np.sqrt(effective / (effective - 1))
    assert errors == pytest.approx(scale * (np.array(slow) - one.difference), abs=1e-6)


def test_the_level_of_seeds_is_students_t() -> None:
    runs = np.array([0.5, 0.7, 0.3])
    flat = Group.of(np.repeat(runs[:, None], len(PIDS), 1), PIDS)
    zero = Group.of(np.zeros((3, len(PIDS))), PIDS)
    both = Block(flat, zero, paired=True)
    low, high = interval(0.5, bootstrap_errors(both, components(both), Draws(200_000)), 0.95)
    known = stats.ttest_rel(runs, [0, 0, 0]).confidence_interval(0.95)
    assert (low, high) == pytest.approx((known.low, known.high), abs=0.02)


def test_the_width_lies_between_the_two_known_solutions() -> None:
    errors = stats.t(2).ppf(np.linspace(0.0005, 0.9995, 1000))
    wide = np.quantile(np.abs(errors), 0.95)
    factor = narrowing(errors, 1.0, 8, 0.95)
    assert factor * wide == pytest.approx(np.sqrt(wide * stats.t(8).ppf(0.975)))
    assert narrowing(errors, 100.0, 8, 0.95) == 1, "it is never made wider"
    assert narrowing(np.zeros(9), 0.0, 8, 0.95) == 1


def test_one_run_each_is_the_exchange_of_identities() -> None:
    """512 exchanges of nine identities, all of them, beside 20 000 of them at random."""
    one = block(1)
    found = p_value(one.difference, null_differences(one, components(one), Draws(20_000)))
    signs = np.array(list(itertools.product((-1, 1), repeat=9)))
    exact = np.mean(np.abs(signs @ one.contributions) >= abs(one.difference) - 1e-12)
    assert found == pytest.approx(exact, abs=0.01)


def test_no_p_value_is_zero() -> None:
    assert p_value(5.0, np.zeros(99)) == 0.01
    assert p_value(0.0, np.zeros(99)) == 1


def test_runs_are_exchanged_in_all_ways() -> None:
    first, second = np.array([0.5, 0.6, 0.9]), np.array([0.1, 0.2, 0.7])
    everything = np.concatenate([first, second])
    splits = list(itertools.combinations(range(6), 3))
    total = everything.sum()
    gaps = [abs(2 * everything[list(one)].sum() - total) / 3 for one in splits]
    least = abs(first.mean() - second.mean()) - 1e-12
    assert exchange_of_runs(first, second, False) == pytest.approx(
        (np.mean(np.array(gaps) >= least), 2 / 20)
    )
    assert exchange_of_runs(first, second, True) == pytest.approx((2 / 8, 2 / 8))
    assert exchange_of_runs(first, second[:2], False)[1] == 1 / 10
    assert exchange_of_runs(first[:1], second[:1], True) is None
    assert exchange_of_runs(np.arange(30.0), np.arange(30.0), False) is None, "too many"
