"""Batch-hard triplet loss, against loops over all triplets and by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reid.losses.triplet import BatchHardTriplet
from reid.utils.errors import InputError

# Two identities on a line: 0 and 3 against 4 and 10.
LINE = torch.tensor([[0.0], [3.0], [4.0], [10.0]])
IDS = torch.tensor([0, 0, 1, 1])
# Anchor:  0        3        4        10
#  d_pos   3        3        6        6
#  d_neg   4        1        1        7
GAPS = (-1, 2, 5, -1)


def by_loops(feat: Tensor, labels: Tensor, margin: float) -> float:
    """The hardest triplet of each anchor, found by looking at every triplet."""
    costs = []
    points, ids = feat.double().tolist(), labels.tolist()
    for a, anchor in enumerate(points):
        triplets = [
            math.dist(anchor, positive) - math.dist(anchor, negative) + margin
            for p, positive in enumerate(points)
            for n, negative in enumerate(points)
            if p != a and ids[p] == ids[a] and ids[n] != ids[a]
        ]
        if triplets:
            costs.append(max(0.0, *triplets))
    return sum(costs) / max(1, len(costs))


def test_four_points_by_hand() -> None:
    # Margin 1.5: (0.5 + 3.5 + 6.5 + 0.5) / 4.
    assert BatchHardTriplet(margin=1.5)(LINE, IDS).item() == pytest.approx(2.75)


def test_soft_margin_by_hand() -> None:
    expected = sum(math.log(1 + math.exp(gap)) for gap in GAPS) / 4
    loss = BatchHardTriplet(soft_margin=True)(LINE, IDS)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    margin=st.floats(0, 2),
    seed=st.integers(0, 2**31),
)
def test_any_batch_equals_the_loops(ids: list[int], margin: float, seed: int) -> None:
    feat = torch.randn(len(ids), 3, generator=torch.Generator().manual_seed(seed))
    labels = torch.tensor(ids)
    expected = by_loops(feat, labels, margin)
    assert BatchHardTriplet(margin)(feat, labels).item() == pytest.approx(
        expected, rel=1e-5, abs=1e-6
    )


def test_order_of_the_batch_does_not_matter() -> None:
    feat, labels = torch.randn(12, 5), torch.arange(4).repeat_interleave(3)
    order = torch.randperm(12)
    torch.testing.assert_close(
        BatchHardTriplet()(feat, labels), BatchHardTriplet()(feat[order], labels[order])
    )


def test_gradient_by_hand() -> None:
    feat = LINE.clone().requires_grad_()
    BatchHardTriplet(margin=0.0)(feat, IDS).backward()
    # Anchors 3 and 4 cost (|3-0| - |3-4| + |4-10| - |4-3|) / 4; the others cost nothing.
    assert feat.grad is not None
    assert feat.grad.flatten().tolist() == pytest.approx([-1 / 4, 3 / 4, -3 / 4, 1 / 4])


@pytest.mark.parametrize("soft", [False, True])
def test_gradient_is_finite_when_all_features_are_equal(soft: bool) -> None:
    feat = torch.ones(4, 8, requires_grad=True)
    loss = BatchHardTriplet(soft_margin=soft)(feat, IDS)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) if soft else 0.3)
    assert feat.grad is not None
    assert not feat.grad.any()


def test_an_anchor_without_a_positive_is_left_out_of_the_mean() -> None:
    feat, labels = torch.cat([LINE, torch.tensor([[100.0]])]), torch.tensor([0, 0, 1, 1, 2])
    assert BatchHardTriplet(1.5)(feat, labels).item() == pytest.approx(2.75)


@pytest.mark.parametrize("labels", [[0, 1, 2], [5, 5, 5]])
def test_a_batch_without_triplets_costs_nothing_and_has_zero_gradient(labels: list[int]) -> None:
    feat = torch.randn(3, 4, requires_grad=True)
    loss = BatchHardTriplet()(feat, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert feat.grad is not None
    assert not feat.grad.any()


def test_near_pairs_far_from_the_origin_keep_their_distance() -> None:
    # The expanded square |a|^2 - 2ab + |b|^2 has errors near 1e3 here.
    feat = torch.tensor([[1e5, 0.0], [1e5, 0.5], [1e5, 0.75], [1e5, 2.0]])
    assert BatchHardTriplet(margin=1.0)(feat, IDS).item() == pytest.approx(
        by_loops(feat, IDS, 1.0), rel=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_reach_the_distances(dtype: torch.dtype) -> None:
    feat, labels = torch.randn(8, 16), torch.arange(4).repeat(2)
    with torch.autocast("cpu", dtype=dtype):
        inside = BatchHardTriplet()(feat, labels)
    assert torch.equal(inside, BatchHardTriplet()(feat, labels))


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_a_margin_that_is_no_distance_is_refused(margin: float) -> None:
    with pytest.raises(InputError, match="margin must be at least 0"):
        BatchHardTriplet(margin)


def test_the_gradient_has_the_same_bits_whatever_the_threads_do() -> None:
    # Each identity has one outlier, which is the farthest positive of its three others: rows that
    # repeat in the gradient. Summed by threads as they come, most of these gradients differ.
    generator = torch.Generator().manual_seed(0)
    feat = torch.randn(64, 2048, generator=generator)
    feat[::4] *= 3
    labels = torch.arange(16).repeat_interleave(4)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        gradients = []
        for _ in range(30):
            x = feat.clone().requires_grad_()
            BatchHardTriplet()(x, labels).backward()
            gradients.append(x.grad)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def statistics(loss: BatchHardTriplet, feat: Tensor, labels: Tensor) -> dict[str, float]:
    loss(feat, labels)
    assert not any(value.requires_grad for value in loss.statistics.values())
    return {name: value.item() for name, value in loss.statistics.items()}


@pytest.mark.parametrize("outsider", [False, True])
def test_statistics_by_hand(outsider: bool) -> None:
    # Distances to positives 3 3 6 6, to negatives 4 1 1 7; an outsider is alone and left out, and
    # is nobody's nearest.
    feat, labels = LINE.clone().requires_grad_(), IDS
    if outsider:
        feat, labels = torch.cat([feat, torch.tensor([[100.0]])]), torch.tensor([0, 0, 1, 1, 2])
    found = statistics(BatchHardTriplet(margin=0.5), feat, labels)
    assert found == pytest.approx(
        {
            "positive": 4.5,
            "positive_std": 1.5,
            "negative": 13 / 4,
            "negative_std": math.sqrt((0.75**2 + 2.25**2 + 2.25**2 + 3.75**2) / 4),
            "active": 1 / 2,  # of the gaps -1, 2, 5, -1 two are above -0.5
            "collapsed": 0,
        }
    )


@pytest.mark.parametrize(
    ("loss", "active", "collapsed"),
    [
        (BatchHardTriplet(margin=1.5), 1.0, 0.0),
        (BatchHardTriplet(margin=0.0), 0.5, 0.0),
        (BatchHardTriplet(margin=100.0), 1.0, 0.5),  # the gaps -1 and -1 are within 1 % of it
        (BatchHardTriplet(soft_margin=True), 0.5, 0.0),
    ],
)
def test_active_and_collapsed_by_hand(
    loss: BatchHardTriplet, active: float, collapsed: float
) -> None:
    found = statistics(loss, LINE, IDS)
    assert (found["active"], found["collapsed"]) == (active, collapsed)


@pytest.mark.parametrize("soft", [False, True])
def test_equal_features_have_collapsed(soft: bool) -> None:
    found = statistics(BatchHardTriplet(soft_margin=soft), torch.ones(4, 8), IDS)
    assert (found["positive"], found["negative"], found["collapsed"]) == (0, 0, 1)


def test_a_batch_without_triplets_has_statistics_of_zero() -> None:
    found = statistics(BatchHardTriplet(), torch.randn(3, 4), torch.tensor([5, 5, 5]))
    assert set(found.values()) == {0.0}
