"""One comparison as a whole; effect, Holm, what could have been shown, and the words."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reid.statistics.comparison import ONE_RUN, SEEDS, SPLITS, Comparison, compare
from reid.statistics.components import components
from reid.statistics.detectable import detectable
from reid.statistics.effect import hedges_g, share_better, standardized
from reid.statistics.groups import Block, Gain, Group
from reid.statistics.holm import holm
from reid.statistics.resampling import Draws
from reid.statistics.verdict import Adds, verdict
from reid.utils.errors import ArgumentError

DRAWS = Draws(2000)
PIDS = np.arange(60) // 3


def block(runs: tuple[int, int], gain: float, seed: int = 0, paired: bool = False) -> Block:
    rng = np.random.default_rng(seed)
    person = rng.random(20)[PIDS] / 2
    values = [person + 0.3 * rng.random((count, 60)) for count in runs]
    return Block(Group.of(values[0] + gain, PIDS), Group.of(values[1], PIDS), paired)


def test_what_is_found_is_what_is_there() -> None:
    one = block((3, 3), 0.1, paired=True)
    found = compare([one], DRAWS)
    assert found.difference == pytest.approx(one.first.metric.mean() - one.second.metric.mean())
    assert found.first_sd == pytest.approx(one.first.metric.std(ddof=1))
    assert found.low < found.difference < found.high and found.low > 0 and found.p < 0.05
    assert (found.first_runs, found.identities, found.paired) == (3, 20, True)
    assert found.speaks_of == SEEDS and found.p_runs == found.least_p_runs == 0.25


def test_groups_in_the_other_order_give_the_other_sign() -> None:
    one = block((4, 3), 0.03)
    found, turned = compare([one], DRAWS), compare([Block(one.second, one.first)], DRAWS)
    assert turned.difference == pytest.approx(-found.difference)
    assert turned.p == pytest.approx(found.p, abs=1e-9)
    assert turned.better == pytest.approx(1 - found.better)
    assert turned.high - turned.low == pytest.approx(found.high - found.low, rel=0.03)


def test_two_groups_of_the_same_runs_show_nothing() -> None:
    one = block((3, 3), 0.0).first
    found = compare([Block(one, one, paired=True)], DRAWS)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert found.effect is None and found.better == 0.5


def test_one_run_each_speaks_of_these_models() -> None:
    found = compare([block((1, 1), 0.1)], DRAWS)
    assert found.speaks_of == ONE_RUN and found.p < 0.01
    assert (found.first_sd, found.effect, found.p_runs, found.seed_sd) == (None, None, None, 0)


def test_several_query_sets_are_compared_each_within_itself() -> None:
    """The second set is harder by .4 for both groups, which is no difference between them."""
    one, two = block((3, 3), 0.1, 0, True), block((3, 3), 0.1, 1, True)
    harder = [Group(group.sums * 0.5, group.counts) for group in (two.first, two.second)]
    found = compare([one, Block(*harder, paired=True)], DRAWS)
    assert found.difference == pytest.approx((one.difference + 0.5 * two.difference) / 2)
    assert found.low > 0.05 and found.blocks == 2 and found.identities == 40
    assert found.p_runs == pytest.approx(2 / 64), "six pairs"
    assert found.speaks_of == SEEDS


def test_one_run_on_each_of_several_splits_speaks_of_splits() -> None:
    blocks = [block((1, 1), 0.1, seed) for seed in range(5)]
    found = compare(blocks, Draws(100_000))
    known = stats.ttest_1samp([one.difference for one in blocks], 0)
    assert found.speaks_of == SPLITS and found.df == 4
    assert (found.low, found.high) == pytest.approx(known.confidence_interval(), abs=0.003)
    assert found.p == pytest.approx(known.pvalue, abs=0.002)
    assert found.least_p_runs == 2 / 32


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ([], "at least one set"),
        ([block((1, 3), 0.0)], "one run tells nothing of seeds"),
        ([block((1, 1), 0.0), block((2, 2), 0.0)], "one run on some sets"),
        ([block((2, 2), 0.0), block((2, 2), 0.0, paired=True)], "paired on some"),
    ],
)
def test_what_cannot_be_compared_is_refused(blocks: list[Block], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        compare(blocks, DRAWS)


def four(runs: int = 4) -> list[Group]:
    """AB, A, B and plain, with a query for each identity."""
    rng = np.random.default_rng(3)
    levels = (0.5, 0.3, 0.25, 0.2)
    return [Group.of(level + 0.3 * rng.random((runs, 20)), np.arange(20)) for level in levels]


def test_an_interaction_of_paired_runs_is_a_comparison_of_their_gains() -> None:
    both, a, b, plain = four()
    found = compare([Block(Gain(both, b, True), Gain(a, plain, True), True)], DRAWS)
    gains = both.metric - b.metric, a.metric - plain.metric
    table = (both.sums - b.sums) - (a.sums - plain.sums)  # seeds x identities
    assert found.difference == pytest.approx(table.mean())
    assert found.first_mean == pytest.approx(gains[0].mean())
    assert found.second_sd == pytest.approx(gains[1].std(ddof=1))
    assert found.seed_sd == pytest.approx(table.mean(1).std(ddof=1) / 2)
    assert found.better == np.mean(table.mean(0) > 0)
    known = stats.permutation_test(
        gains, lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert found.p_runs == pytest.approx(known.pvalue)
    # What B adds on top of A, less what it adds alone, is the same number.
    turned = compare([Block(Gain(both, a, True), Gain(b, plain, True), True)], DRAWS)
    assert (turned.low, turned.p) == pytest.approx((found.low, found.p), abs=1e-6)


def test_an_interaction_of_four_independent_groups_is_welchs() -> None:
    groups = four(3)
    both, a, b, plain = [*groups[:3], four(5)[3]]
    block = Block(Gain(both, b), Gain(a, plain))
    parts = components(block)
    of_each = [group.metric.var(ddof=1) / group.runs for group in (both, b, a, plain)]
    assert parts.seeds == pytest.approx(sum(of_each))
    below = sum(v**2 / (n - 1) for v, n in zip(of_each, (3, 3, 3, 5), strict=True))
    assert parts.seeds_df == pytest.approx(sum(of_each) ** 2 / below)
    found = compare([block], DRAWS)
    assert (found.first_sd, found.p_runs, found.first_runs, found.second_runs) == (None, None, 3, 3)


def test_gains_within_runs_need_no_pairs_of_recipes() -> None:
    """Re-ranking of two recipes with other seeds: the spread is that of the gains of runs."""
    ranked, first, other, second = four()
    within = Block(Gain(ranked, first, True), Gain(other, second, True))
    gains = ranked.metric - first.metric, other.metric - second.metric
    known = sum(gain.var(ddof=1) / 4 for gain in gains)
    assert components(within).seeds == pytest.approx(known)
    assert compare([within], DRAWS).first_sd == pytest.approx(gains[0].std(ddof=1))


def test_an_interaction_over_splits_is_the_t_test_of_their_differences() -> None:
    """One run of each recipe on each of five splits, as on VIPeR."""
    rng = np.random.default_rng(5)
    blocks = []
    for _ in range(5):
        both, a, b, plain = (Group.of(rng.random((1, 20)), np.arange(20)) for _ in range(4))
        blocks.append(Block(Gain(both, b), Gain(a, plain)))
    found = compare(blocks, Draws(100_000))
    known = stats.ttest_1samp([block.difference for block in blocks], 0)
    assert found.speaks_of == SPLITS and found.df == 4 and found.first_runs == 5
    assert found.p == pytest.approx(known.pvalue, abs=0.002)
    assert found.first_sd == pytest.approx(np.std([b.first.mean for b in blocks], ddof=1))


def test_gains_that_do_not_fit_are_refused() -> None:
    both, a, b, plain = four()
    with pytest.raises(ArgumentError, match="own groups are paired, too"):
        Block(Gain(both, b), Gain(a, plain), paired=True)
    with pytest.raises(ArgumentError, match="needs as many runs, got 4 and 3"):
        Gain(both, four(3)[0], paired=True)
    with pytest.raises(ArgumentError, match="hold 4 and 4 and 1 and 4 runs"):
        compare([Block(Gain(both, b), Gain(four(1)[0], plain))], DRAWS)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([0.2]) == [0.2] and holm([]) == []


def test_effects_by_hand() -> None:
    flat = [
        Group.of(np.array([[v] * 60 for v in one]), PIDS)
        for one in ([0.5, 0.7, 0.9], [0.4, 0.4, 0.7])
    ]
    pairs = Block(*flat, paired=True)
    assert pairs.difference == pytest.approx(0.2)
    assert hedges_g([pairs], 0.2) == pytest.approx(
        (1 - 3 / 7) * 0.2 / np.std([0.1, 0.3, 0.2], ddof=1)
    )
    pooled = math.sqrt((0.04 + 0.03) / 2)  # variances .04 and .03
    assert hedges_g([Block(*flat)], 0.2) == pytest.approx((1 - 3 / 15) * 0.2 / pooled)
    assert standardized(0.2, 0.1, 1) is None and standardized(0.2, 0.0, 3) is None
    half = Block(
        Group.of(np.array([[1.0, 0.0, 0.5]]), np.arange(3)),
        Group.of(np.full((1, 3), 0.5), np.arange(3)),
    )
    assert share_better([half]) == 0.5


def test_what_is_detectable_is_found_in_80_percent() -> None:
    """20 000 estimates around the detectable difference, with their own estimated errors."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((20_000, 6))
    errors = values.std(1, ddof=1) / math.sqrt(6)
    half = stats.t.ppf(0.975, 5) / math.sqrt(6)  # the interval of the true spread
    gain = detectable(half, 1 / math.sqrt(6), 5)
    found = np.mean((values.mean(1) + gain) / errors > stats.t.ppf(0.975, 5))
    assert found == pytest.approx(0.8, abs=0.03)


def found(**changes: Any) -> Comparison:
    values = {**compare([block((3, 3), 0.1)], DRAWS).numbers(), **changes}
    return Comparison(**values)


def test_the_verdict_of_an_interaction_says_who_adds_what() -> None:
    adds = Adds("lfm", "on top of erasing", "alone")
    less = found(difference=-0.021, p=0.001)
    assert verdict(less, 0.01, ("x", "y"), 3, True, adds) == (
        "lfm adds 2.1 less on top of erasing than alone"
    )
    more = found(difference=0.02, p=0.001, speaks_of=ONE_RUN)
    assert verdict(more, 0.01, ("x", "y"), 3, False, adds).endswith(
        "adds 2.0 more on top of erasing than alone, of these models"
    )
    none = verdict(found(p=0.03, detectable=0.04), 0.09, ("x", "y"), 3, True, adds)
    assert none == (
        "no evidence that lfm adds more or less on top of erasing than alone among 3 comparisons;"
        " a difference of 4.0 could have been shown"
    )


def test_the_verdict_says_what_follows() -> None:
    clear = found(p=0.001, difference=-0.031, detectable=0.02)
    assert verdict(clear, 0.002, ("lfm", "plain"), 2) == "plain is better than lfm by 3.1"
    assert verdict(clear, 0.06, ("lfm", "plain"), 60) == (
        "no evidence of a difference among 60 comparisons;"
        " a difference of 2.0 could have been shown"
    )
    assert verdict(clear, 0.002, ("lfm", "plain"), 2, more_is_better=False) == (
        "lfm is better than plain by 3.1"
    )
    assert verdict(found(p=0.001, difference=0.031, speaks_of=ONE_RUN), 0.002, ("a", "b"), 2) == (
        "a is better than b by 3.1, of these two models"
    )
    unclear = found(p=0.3, difference=0.005, detectable=0.04)
    assert verdict(unclear, 0.3, ("lfm", "plain"), 1) == (
        "no evidence of a difference; a difference of 4.0 could have been shown"
    )
