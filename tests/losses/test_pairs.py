"""Losses on pairs: against loops in plain Python, pytorch-metric-learning, and by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning.miners import MultiSimilarityMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor

from reid.losses import LOSSES
from reid.losses.pairs import PairLoss
from reid.utils.errors import InputError

# Cosines of these unit vectors: 0.6 and 0.8 beside 0 and 1; identities 0 0 1 1.
SQUARE = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-0.8, 0.6]])
IDS = torch.tensor([0, 0, 1, 1])
NAMES = ["circle", "supcon", "multi_similarity", "wrt"]
every = pytest.mark.parametrize("name", NAMES)


def build(name: str, **arguments: Any) -> PairLoss:
    made = LOSSES[name](**arguments)
    assert isinstance(made, PairLoss)
    return made


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / (math.hypot(*a) * math.hypot(*b))


def circle(pos: list[float], neg: list[float]) -> float:
    m, gamma = 0.25, 8.0
    ups = sum(math.exp(gamma * max(0.0, 1 + m - s) * (1 - m - s)) for s in pos)
    downs = sum(math.exp(gamma * max(0.0, s + m) * (s - m)) for s in neg)
    return math.log(1 + ups * downs)


def supcon(pos: list[float], neg: list[float]) -> float:
    others = sum(math.exp(s / 0.1) for s in (*pos, *neg))
    return sum(-math.log(math.exp(s / 0.1) / others) for s in pos) / len(pos)


def multi_similarity(pos: list[float], neg: list[float]) -> float:
    hard_pos = [s for s in pos if s - 0.1 < max(neg)]
    hard_neg = [s for s in neg if s + 0.1 > min(pos)]
    low = math.log(1 + sum(math.exp(-2 * (s - 0.5)) for s in hard_pos)) / 2
    return low + math.log(1 + sum(math.exp(50 * (s - 0.5)) for s in hard_neg)) / 50


def wrt(pos: list[float], neg: list[float]) -> float:
    far = sum(math.exp(d) * d for d in pos) / sum(math.exp(d) for d in pos)
    near = sum(math.exp(-d) * d for d in neg) / sum(math.exp(-d) for d in neg)
    return math.log(1 + math.exp(far - near))


Formula = Callable[[list[float], list[float]], float]
FORMULAS: dict[str, Formula] = {
    "circle": circle,
    "supcon": supcon,
    "multi_similarity": multi_similarity,
    "wrt": wrt,
}
ARGUMENTS: dict[str, dict[str, float]] = {"circle": {"gamma": 8.0}}


def by_loops(name: str, feat: Tensor, labels: Tensor) -> float:
    """The mean over the anchors with a positive and a negative, one pair after the other."""
    points, ids = feat.double().tolist(), labels.tolist()
    compare = math.dist if name == "wrt" else cosine
    costs = []
    for a, anchor in enumerate(points):
        pairs = [(compare(anchor, other), ids[b] == ids[a], b) for b, other in enumerate(points)]
        pos = [value for value, same, b in pairs if same and b != a]
        neg = [value for value, same, _ in pairs if not same]
        if pos and neg:
            costs.append(FORMULAS[name](pos, neg))
    return sum(costs) / max(1, len(costs))


@every
@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(0, 3), min_size=1, max_size=8), seed=st.integers(0, 2**31))
def test_any_batch_equals_the_loops(name: str, ids: list[int], seed: int) -> None:
    feat = torch.randn(len(ids), 3, generator=torch.Generator().manual_seed(seed))
    labels = torch.tensor(ids)
    found = build(name, **ARGUMENTS.get(name, {}))(feat, labels).item()
    assert found == pytest.approx(by_loops(name, feat, labels), rel=2e-5, abs=1e-6)


def test_circle_by_hand() -> None:
    # All four have the positive 0.6. Negatives: 0, -0.8 | 0.8, 0 | 0, 0.8 | -0.8, 0.
    # At m = 0.5 the positive has the logit -(1.5 - 0.6) (0.6 - 0.5) = -0.09, and the negatives
    # 0 -> 0.5 (0 - 0.5) = -0.25; 0.8 -> 1.3 (0.8 - 0.5) = 0.39; -0.8 -> 0, for its weight is 0.
    far = math.log(1 + math.exp(-0.09) * (math.exp(-0.25) + math.exp(0)))
    near = math.log(1 + math.exp(-0.09) * (math.exp(-0.25) + math.exp(0.39)))
    found = build("circle", margin=0.5, gamma=1.0)(SQUARE, IDS).item()
    assert found == pytest.approx((far + near) / 2, rel=1e-6)


def test_supcon_by_hand() -> None:
    # Temperature 1: -log of e^0.6 / (e^0.6 + the negatives); see above for these.
    far = math.log(1 + math.exp(0 - 0.6) + math.exp(-0.8 - 0.6))
    near = math.log(1 + math.exp(0 - 0.6) + math.exp(0.8 - 0.6))
    found = build("supcon", temperature=1.0)(SQUARE, IDS).item()
    assert found == pytest.approx((far + near) / 2, rel=1e-6)


def test_multi_similarity_selects_by_hand() -> None:
    # The positive 0.6 counts where a negative is above 0.5, and the negative 0.8 is above 0.5: the
    # two anchors in the middle have one pair of each kind, the outer two none.
    low = math.log(1 + math.exp(-2 * 0.1)) / 2
    high = math.log(1 + math.exp(10 * 0.3)) / 10
    found = build("multi_similarity", beta=10.0)(SQUARE, IDS).item()
    assert found == pytest.approx((0 + 0 + 2 * (low + high)) / 4, rel=1e-5)


def test_multi_similarity_without_selection_by_hand() -> None:
    low = math.log(1 + math.exp(-2 * 0.1)) / 2
    far = math.log(1 + math.exp(10 * -0.5) + math.exp(10 * -1.3)) / 10
    near = math.log(1 + math.exp(10 * -0.5) + math.exp(10 * 0.3)) / 10
    found = build("multi_similarity", beta=10.0, mining=False)(SQUARE, IDS).item()
    assert found == pytest.approx(low + (far + near) / 2, rel=1e-5)


def test_wrt_by_hand() -> None:
    # On a line, identity 0 at 0, 1, 3 and identity 1 at 7 alone: anchors 0, 1, 3 have positives at
    # 1 3, 1 2, 3 2 and the negative at 7, 6, 4.
    feat = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    e = math.e
    far = [(e + 3 * e**3) / (e + e**3), (e + 2 * e**2) / (e + e**2)]
    far.append((3 * e**3 + 2 * e**2) / (e**3 + e**2))
    costs = [math.log(1 + math.exp(d - n)) for d, n in zip(far, (7, 6, 4), strict=True)]
    found = build("wrt")(feat, torch.tensor([0, 0, 0, 1])).item()
    assert found == pytest.approx(sum(costs) / 3, rel=1e-6)


def with_gradient(loss: Callable[[Tensor], Tensor], feat: Tensor) -> tuple[Tensor, Tensor]:
    x = feat.clone().requires_grad_()
    value = loss(x)
    value.backward()
    assert x.grad is not None
    return value.detach(), x.grad


FEAT = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(4).repeat(4)
ONE_ALONE = torch.tensor([0] * 5 + [1] * 5 + [2] * 5 + [3])


@pytest.mark.parametrize("labels", [LABELS, ONE_ALONE], ids=["pk", "one alone"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (build("circle"), pml.CircleLoss(m=0.25, gamma=128)),
        (build("circle", margin=0.4, gamma=80.0), pml.CircleLoss()),
        (build("supcon"), pml.SupConLoss()),
        (build("supcon", temperature=0.5), pml.SupConLoss(temperature=0.5)),
    ],
    ids=["circle", "circle of fine-grained retrieval", "supcon", "supcon at 0.5"],
)
def test_pytorch_metric_learning_agrees(ours: PairLoss, theirs: Any, labels: Tensor) -> None:
    found = with_gradient(lambda x: ours(x, labels), FEAT)
    expected = with_gradient(lambda x: theirs(x, labels), FEAT)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mining", [True, False])
def test_pytorch_metric_learning_agrees_on_multi_similarity(mining: bool) -> None:
    # Here every anchor has a positive; their mean over all anchors is the paper's.
    theirs, miner = pml.MultiSimilarityLoss(reducer=MeanReducer()), MultiSimilarityMiner(0.1)
    ours = build("multi_similarity", mining=mining)
    expected = with_gradient(
        lambda x: theirs(x, LABELS, miner(x, LABELS) if mining else None), FEAT
    )
    found = with_gradient(lambda x: ours(x, LABELS), FEAT)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


# The weights in circle loss have no gradient, so that it is compared above only.
@pytest.mark.parametrize("name", ["supcon", "multi_similarity", "wrt"])
def test_the_gradient_is_that_of_differences(name: str) -> None:
    loss, x = build(name), FEAT[:8, :3].clone()
    _, gradient = with_gradient(lambda f: loss(f, LABELS[:8]), x)
    step = 1e-2
    for place in ((0, 0), (3, 1), (7, 2)):
        moved = torch.zeros_like(x)
        moved[place] = step
        above, below = (by_loops(name, x + sign * moved, LABELS[:8]) for sign in (1, -1))
        expected = (above - below) / (2 * step)
        assert gradient[place].item() == pytest.approx(expected, rel=0.02, abs=2e-4)


@every
def test_order_of_the_batch_does_not_matter(name: str) -> None:
    order = torch.randperm(16)
    loss = build(name)
    torch.testing.assert_close(loss(FEAT, LABELS), loss(FEAT[order], LABELS[order]))


@every
def test_length_matters_to_distances_only(name: str) -> None:
    loss = build(name)
    same = torch.isclose(loss(FEAT, LABELS), loss(7 * FEAT, LABELS))
    assert bool(same) == (name != "wrt")


@every
def test_an_anchor_without_a_positive_is_a_negative_and_no_anchor(name: str) -> None:
    feat, labels = torch.cat([SQUARE, torch.tensor([[0.1, -3.0]])]), torch.tensor([0, 0, 1, 1, 2])
    x = feat.clone().requires_grad_()
    value = build(name, **ARGUMENTS.get(name, {}))(x, labels)
    value.backward()
    assert value.item() == pytest.approx(by_loops(name, feat, labels), rel=1e-5)
    assert x.grad is not None and x.grad.isfinite().all()


@every
@pytest.mark.parametrize("labels", [[0, 1, 2], [5, 5, 5], [0, 0, 0]])
def test_a_batch_without_anchors_costs_nothing_and_has_zero_gradient(
    name: str, labels: list[int]
) -> None:
    loss = build(name)
    value, gradient = with_gradient(lambda x: loss(x, torch.tensor(labels)), torch.randn(3, 4))
    assert value.item() == 0
    assert not gradient.any()
    assert {float(number) for number in loss.statistics.values()} == {0.0}


@every
def test_equal_features_have_a_finite_gradient(name: str) -> None:
    loss = build(name)
    value, gradient = with_gradient(lambda x: loss(x, IDS), torch.ones(4, 8))
    assert value.isfinite()
    assert gradient.isfinite().all()


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_reach_the_pairs(name: str, dtype: torch.dtype) -> None:
    loss = build(name)
    with torch.autocast("cpu", dtype=dtype):
        inside = loss(FEAT, LABELS)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss(FEAT, LABELS))


@every
def test_the_gradient_has_the_same_bits_whatever_the_threads_do(name: str) -> None:
    feat = torch.randn(32, 512, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8).repeat_interleave(4)
    loss = build(name)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        gradients = [with_gradient(lambda x: loss(x, labels), feat)[1] for _ in range(10)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def test_near_pairs_far_from_the_origin_keep_their_distance() -> None:
    feat = torch.tensor([[1e5, 0.0], [1e5, 0.5], [1e5, 0.75], [1e5, 2.0]])
    assert build("wrt")(feat, IDS).item() == pytest.approx(by_loops("wrt", feat, IDS), rel=1e-6)


@pytest.mark.parametrize("name", ["circle", "supcon", "multi_similarity"])
def test_statistics_of_cosines_by_hand(name: str) -> None:
    loss = build(name)
    loss(SQUARE.clone().requires_grad_(), IDS)
    found = {key: value.item() for key, value in loss.statistics.items()}
    # Each has one positive, at 0.6; the nearest negatives are at 0, 0.8, 0.8, 0.
    assert found == pytest.approx({"positive": 0.6, "negative": 0.4})
    assert not any(value.requires_grad for value in loss.statistics.values())


def test_statistics_of_wrt_by_hand() -> None:
    loss = build("wrt")
    # The outsider is alone, and so far away that it weighs nothing.
    feat = torch.tensor([[0.0], [3.0], [4.0], [10.0], [1000.0]])
    loss(feat, torch.tensor([0, 0, 1, 1, 2]))
    found = {key: value.item() for key, value in loss.statistics.items()}
    e = math.exp
    near = [
        (4 * e(-4) + 10 * e(-10)) / (e(-4) + e(-10)),
        (1 * e(-1) + 7 * e(-7)) / (e(-1) + e(-7)),
        (4 * e(-4) + 1 * e(-1)) / (e(-4) + e(-1)),
        (10 * e(-10) + 7 * e(-7)) / (e(-10) + e(-7)),
    ]
    expected = {"positive": (3 + 3 + 6 + 6) / 4, "negative": sum(near) / 4}
    assert found == pytest.approx({**expected, "active": 0.5, "collapsed": 0.0}, rel=1e-5)


def test_wrt_says_that_equal_features_have_collapsed() -> None:
    loss = build("wrt")
    loss(torch.ones(4, 8), IDS)
    assert loss.statistics["collapsed"].item() == 1
    assert loss(torch.ones(4, 8), IDS).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("circle", "margin", 1.5),
        ("circle", "gamma", 0.0),
        ("supcon", "temperature", 0.0),
        ("multi_similarity", "alpha", 0.0),
        ("multi_similarity", "beta", -1.0),
        ("multi_similarity", "base", 2.0),
        ("multi_similarity", "epsilon", -0.1),
    ],
)
def test_what_is_outside_its_range_is_refused(name: str, argument: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{argument} must be "):
        build(name, **{argument: value})
