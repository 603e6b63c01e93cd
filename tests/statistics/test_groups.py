"""Sums by identity, and where the error of a difference comes from, on numbers done by hand."""

import numpy as np
import pytest
from scipy import stats

from reid.statistics.components import between_splits, components, pooled_sd
from reid.statistics.groups import Block, Group
from reid.utils.errors import ArgumentError

PIDS = np.array([7, 3, 7, 9])  # identity 7 has two queries


def group(*rows: list[float]) -> Group:
    return Group.of(np.array(rows), PIDS)


def test_queries_are_summed_by_identity() -> None:
    one = group([0.5, 0.2, 0.7, 1.0], [0.1, 0.2, 0.3, 0.4])
    assert one.sums == pytest.approx(np.array([[0.2, 1.2, 1.0], [0.2, 0.4, 0.4]]))
    assert one.counts.tolist() == [[1, 2, 1], [1, 2, 1]]
    assert one.metric == pytest.approx([0.6, 0.25]), "the mean over queries, not over identities"
    assert one.influence.sum(1) == pytest.approx([0, 0])
    assert one.influence[0] == pytest.approx([-0.4 / 4, 0.0, 0.4 / 4])


def test_a_rate_is_divided_by_the_queries_that_count() -> None:
    values, counted = [[1.0, 0.0, 0.0, 0.0]], [[True, False, True, True]]
    rate = Group.of(np.array(values), PIDS, np.array(counted))
    assert rate.metric == pytest.approx([1 / 3])
    assert rate.counts.tolist() == [[0, 2, 1]]


def test_contributions_add_up_to_the_difference() -> None:
    block = Block(group([0.5, 0.2, 0.7, 1.0]), group([0.1, 0.2, 0.3, 0.4]))
    assert block.contributions == pytest.approx([0.0, 0.8 / 4, 0.6 / 4])
    assert block.contributions.sum() == pytest.approx(block.difference)
    assert block.effective_identities == pytest.approx(16 / 6)


def test_groups_that_do_not_fit_are_refused() -> None:
    other = Group.of(np.ones((1, 2)), np.array([1, 2]))
    with pytest.raises(ArgumentError, match="shows 2 identities, first shows 3"):
        Block(group([1.0] * 4), other)
    with pytest.raises(ArgumentError, match="as many runs, got 1 and 2"):
        Block(group([1.0] * 4), group([1.0] * 4, [0.5] * 4), paired=True)


def even(*rows: list[float]) -> Group:
    """Four identities with one query each."""
    return Group.of(np.array(rows), np.arange(4))


def test_one_run_each_is_the_t_test_of_identities() -> None:
    a, b = [0.9, 0.4, 0.7, 0.2], [0.5, 0.5, 0.3, 0.1]
    parts = components(Block(even(a), even(b)))
    difference = np.subtract(a, b)
    assert parts.identities == pytest.approx(difference.var(ddof=1) / 4)
    assert (parts.identities_df, parts.seeds, parts.both) == (3, 0, 0)
    t = stats.ttest_rel(a, b).statistic
    assert difference.mean() / parts.variance**0.5 == pytest.approx(t)


def test_runs_without_identity_effects_are_the_t_test_of_runs() -> None:
    """Each run has the same value on all identities: only seeds vary."""
    a, b = even([0.5] * 4, [0.7] * 4, [0.3] * 4), even([0.4] * 4, [0.5] * 4, [0.4] * 4)
    paired = components(Block(a, b, paired=True))
    assert paired.seeds == pytest.approx(np.var([0.1, 0.2, -0.1], ddof=1) / 3)
    assert (paired.seeds_df, paired.pure_identities, paired.df) == (2, 0, 2)
    apart = components(Block(a, b))
    welch = stats.ttest_ind([0.5, 0.7, 0.3], [0.4, 0.5, 0.4], equal_var=False)
    assert apart.variance**0.5 == pytest.approx(
        (a.metric.mean() - b.metric.mean()) / welch.statistic
    )
    assert apart.df == pytest.approx(welch.df)


def test_the_interaction_is_counted_once() -> None:
    """A table that is nothing but interaction: all three estimates mean the same part."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2000):
        values = rng.standard_normal((2, 3, 20))
        groups = [Group.of(one, np.arange(20)) for one in values]
        parts = components(Block(*groups, paired=True))
        found.append([parts.seeds, parts.identities, parts.both])
    truth = 2 / (3 * 20)
    assert np.mean(found, axis=0) == pytest.approx([truth] * 3, rel=0.05)


def test_splits_are_the_t_test_of_their_differences() -> None:
    differences = [0.1, 0.3, -0.1, 0.2]
    parts = between_splits(differences)
    t = stats.ttest_1samp(differences, 0)
    assert np.mean(differences) / parts.variance**0.5 == pytest.approx(t.statistic)
    assert parts.df == 3


def test_the_spread_of_runs_is_taken_within_a_query_set() -> None:
    groups = [even([0.1] * 4, [0.3] * 4), even([0.8] * 4, [1.0] * 4)]
    assert pooled_sd(groups) == pytest.approx(np.sqrt((0.02 + 0.02) / 2))
    assert np.isnan(pooled_sd([even([0.1] * 4)]))
