"""Losses with class weights of their own: against pytorch-metric-learning, loops, and by hand."""

import math
from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses as pml
from torch import Tensor

from reid.losses import LOSSES
from reid.losses.margin_softmax import MarginSoftmax
from reid.utils.errors import InputError

NAMES = ["arcface", "cosface", "circle_softmax"]
every = pytest.mark.parametrize("name", NAMES)
FEAT = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(4).repeat(3)


def build(name: str, classes: int = 4, dim: int = 6, **arguments: float) -> MarginSoftmax:
    torch.manual_seed(1)
    made = LOSSES[name](num_classes=classes, feat_dim=dim, **arguments)
    assert isinstance(made, MarginSoftmax)
    return made


def own_logit(name: str, cos: float, margin: float) -> float:
    if name == "cosface":
        return cos - margin
    if name == "circle_softmax":
        return max(0.0, 1 + margin - cos) * (cos - 1 + margin)
    angle = math.acos(cos)
    return (
        math.cos(angle + margin) if angle <= math.pi - margin else cos - margin * math.sin(margin)
    )


def by_loops(name: str, loss: Any, feat: Tensor, labels: Tensor, smoothing: float) -> float:
    """Cross entropy, one image and one class after the other."""
    total = 0.0
    for point, label in zip(feat.double(), labels.tolist(), strict=True):
        logits = []
        for number, weight in enumerate(loss.weight.detach().double()):
            cos = float(point @ weight / (point.norm() * weight.norm()))
            other = max(0.0, cos + loss.margin) * (cos - loss.margin)
            other = other if name == "circle_softmax" else cos
            logits.append(own_logit(name, cos, loss.margin) if number == label else other)
        exps = [math.exp(loss.scale * logit) for logit in logits]
        logs = [-math.log(e / sum(exps)) for e in exps]
        total += (1 - smoothing) * logs[label] + smoothing * sum(logs) / len(logs)
    return total / len(labels)


@every
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_any_batch_equals_the_loops(name: str, smoothing: float) -> None:
    loss = build(name, scale=8.0, label_smoothing=smoothing)
    expected = by_loops(name, loss, FEAT, LABELS, smoothing)
    assert loss(FEAT, LABELS).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("arcface", pml.ArcFaceLoss(4, 6, margin=math.degrees(0.5), scale=64)),
        ("cosface", pml.CosFaceLoss(4, 6)),
    ],
)
def test_pytorch_metric_learning_agrees(name: str, theirs: Any) -> None:
    ours = build(name)
    # Image 0 looks away from its class: its angle is beyond pi - margin.
    feat = FEAT.clone()
    feat[0] = -ours.weight[0].detach() + 0.001
    theirs.W.data = ours.weight.detach().T.clone()
    found, expected = [], []
    for loss, weight, out in ((ours, ours.weight, found), (theirs, theirs.W, expected)):
        x = feat.clone().requires_grad_()
        value = loss(x, LABELS)
        value.backward()
        out += [value.detach(), x.grad, weight.grad]
    expected[2] = expected[2].T
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# Class weights on the axes of a plane: cosines are the coordinates.
AXES = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
POINT = torch.tensor([[3.0, 4.0]])  # cosines 0.6 and 0.8


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [
        # cos(a + b) = cos a cos b - sin a sin b, and cos 0.6, sin 0.8 with the margin acos 0.8
        ("arcface", 0.6 * 0.8 - 0.8 * 0.6, 0.8),
        ("cosface", 0.6 - 0.25, 0.8),
        ("circle_softmax", (1.25 - 0.6) * (0.6 - 0.75), (0.8 + 0.25) * (0.8 - 0.25)),
    ],
)
def test_by_hand(name: str, own: float, other: float) -> None:
    margin = math.acos(0.8) if name == "arcface" else 0.25
    loss = build(name, 2, 2, scale=2.0, margin=margin)
    loss.weight.data = 5 * AXES
    expected = math.log(1 + math.exp(2 * (other - own)))
    assert loss(POINT, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-6)


def test_circle_on_classes_is_circle_on_pairs_with_the_class_weights() -> None:
    # Each image is compared with the class weights: its own one is its only positive.
    loss = build("circle_softmax", scale=16.0, margin=0.25)
    pairs = LOSSES["circle"](margin=0.25, gamma=16.0)
    cosines = torch.nn.functional.normalize(FEAT) @ torch.nn.functional.normalize(loss.weight).T
    own = torch.nn.functional.one_hot(LABELS, 4).bool()
    expected = pairs.cost(cosines, own, ~own).mean()  # type: ignore[operator]
    torch.testing.assert_close(loss(FEAT, LABELS), expected)


@pytest.mark.parametrize("name", ["arcface", "cosface"])  # that of circle loss relaxes
def test_a_margin_makes_the_loss_larger(name: str) -> None:
    assert build(name, margin=0.3)(FEAT, LABELS) > build(name, margin=0.0)(FEAT, LABELS)


def test_arcface_rises_with_the_angle_all_the_way() -> None:
    loss = build("arcface", 2, 2)
    loss.weight.data = AXES
    angles = torch.linspace(0, math.pi, 50)
    logits = loss.harden(angles.cos().unsqueeze(1), torch.ones(50, 1, dtype=torch.bool))
    assert (logits.diff(dim=0) < 0).all()


@every
def test_an_image_exactly_at_or_opposite_its_class_has_a_finite_gradient(name: str) -> None:
    loss = build(name, 2, 2)
    loss.weight.data = AXES.clone()
    x = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], requires_grad=True)
    loss(x, torch.tensor([0, 0])).backward()
    assert x.grad is not None and loss.weight.grad is not None
    assert x.grad.isfinite().all() and loss.weight.grad.isfinite().all()


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_reach_the_cosines(name: str, dtype: torch.dtype) -> None:
    loss = build(name)
    with torch.autocast("cpu", dtype=dtype):
        inside = loss(FEAT, LABELS)
    assert torch.equal(inside, loss(FEAT, LABELS))


@every
def test_statistics_by_hand(name: str) -> None:
    loss = build(name, 2, 2)
    loss.weight.data = 3 * AXES
    feat = torch.tensor([[3.0, 4.0], [4.0, 3.0]], requires_grad=True)
    loss(feat, torch.tensor([0, 0]))
    found = {key: value.item() for key, value in loss.statistics.items()}
    # The first image is nearer to class 1: cosines 0.6 and 0.8; the second has 0.8 and 0.6.
    assert found == pytest.approx({"accuracy": 0.5, "positive": 0.7, "negative": 0.7})
    assert not any(value.requires_grad for value in loss.statistics.values())


@every
def test_one_class_alone_has_finite_statistics(name: str) -> None:
    loss = build(name, 1, 6)
    assert loss(FEAT, torch.zeros(12, dtype=torch.int64)).item() == 0
    assert all(value.isfinite() for value in loss.statistics.values())


@every
def test_it_has_weights_of_its_own_and_reads_the_feature_behind_the_neck(name: str) -> None:
    loss = build(name)
    assert [(key, tuple(p.shape)) for key, p in loss.named_parameters()] == [("weight", (4, 6))]
    assert loss.consumes == "feat_bn"
    assert not loss.needs_pairs


@every
@pytest.mark.parametrize(
    ("argument", "value"),
    [("scale", 0.0), ("margin", -0.1), ("margin", math.nan), ("label_smoothing", 1.0)],
)
def test_what_is_outside_its_range_is_refused(name: str, argument: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{argument} must be "):
        build(name, **{argument: value})
