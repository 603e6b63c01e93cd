"""The weighted sum of losses."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from reid.losses import Criterion
from reid.utils.errors import InputError


class Output(NamedTuple):
    """What a model hands over."""

    feat: Tensor
    feat_bn: Tensor
    logits: Tensor


class Sum(nn.Module):
    """A loss a person can compute."""

    def __init__(self, consumes: str) -> None:
        super().__init__()
        self.consumes = consumes

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return x.sum() + labels.sum()


def output() -> Output:
    return Output(
        torch.full((2, 3), 1.0, requires_grad=True),
        torch.full((2, 3), 4.0),
        torch.full((2, 4), 10.0),
    )


LABELS = torch.tensor([0, 1])


def test_each_loss_reads_what_it_consumes_and_the_total_is_weighted() -> None:
    losses = {"a": Sum("feat"), "b": Sum("logits"), "c": Sum("feat_bn")}
    criterion = Criterion(losses, [2.0, 0.5, 3.0])
    values = criterion(output(), LABELS)
    assert {name: value.item() for name, value in values.items()} == {
        "a": 7.0,
        "b": 81.0,
        "c": 25.0,
        "total": 2 * 7 + 81 / 2 + 3 * 25,
    }


def test_behind_the_neck_only_losses_on_features_read_something_else() -> None:
    losses = {"a": Sum("feat"), "b": Sum("logits"), "c": Sum("feat_bn")}
    criterion = Criterion(losses, [1.0, 1.0, 1.0], neck_feat="after")
    values = criterion(output(), LABELS)
    assert [values[name].item() for name in "abc"] == [25.0, 81.0, 25.0]
    assert criterion.consumes == {"a": "feat_bn", "b": "logits", "c": "feat_bn"}


def test_a_neck_feat_of_another_word_is_refused() -> None:
    with pytest.raises(InputError, match=r"neck_feat.*befor.*before"):
        Criterion({"a": Sum("feat")}, [1.0], neck_feat="befor")


def test_only_the_total_carries_gradient() -> None:
    out = output()
    values = Criterion({"a": Sum("feat")}, [3.0])(out, LABELS)
    assert not values["a"].requires_grad
    values["total"].backward()
    assert out.feat.grad is not None
    assert torch.equal(out.feat.grad, torch.full((2, 3), 3.0))


def test_parts_are_scalars() -> None:
    values = Criterion({"a": Sum("feat"), "b": Sum("logits")}, [1.0, 1.0])(output(), LABELS)
    assert all(value.shape == () for value in values.values())


@pytest.mark.parametrize(
    ("losses", "weights", "message"),
    [
        ({}, [], "^losses must have at least one loss, got none$"),
        ({"a": Sum("feat")}, [1.0, 2.0], r"^weights must have .* the 1 losses \(a\), got 2$"),
        (
            {"a": Sum("feat")},
            [-1.0],
            "^weights must be finite and at least 0, got -1.0 for loss 'a'",
        ),
        (
            {"a": Sum("feat")},
            [math.nan],
            "^weights must be finite and at least 0, got nan for loss 'a'",
        ),
        ({"a": Sum("logit")}, [1.0], "got 'logit' of loss 'a'; did you mean 'logits'"),
        ({"a": nn.Identity()}, [1.0], "got 'None' of loss 'a'. Known: feat, feat_bn, logits"),
        ({"total": Sum("feat")}, [1.0], "^losses must not be named 'total'"),
    ],
)
def test_bad_losses_and_weights_are_refused(
    losses: dict[str, nn.Module], weights: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Criterion(losses, weights)


class Reporting(Sum):
    """A loss that tells the largest number that it saw, or something else."""

    def __init__(self, report: object = None) -> None:
        super().__init__("feat")
        self.report = report

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        self.statistics = {"largest": x.max() if self.report is None else self.report}
        return super().forward(x, labels)


def test_what_losses_report_has_their_name_in_front_and_no_gradient() -> None:
    criterion = Criterion({"a": Reporting(), "b": Sum("logits"), "c": Reporting()}, [1, 1, 1])
    criterion(output(), LABELS)
    found = criterion.statistics()
    assert {name: value.item() for name, value in found.items()} == {"a_largest": 1, "c_largest": 1}
    assert not any(value.requires_grad for value in found.values())


@pytest.mark.parametrize("report", [3.0, torch.zeros(2)], ids=["float", "vector"])
def test_only_scalar_tensors_are_statistics(report: object) -> None:
    criterion = Criterion({"a": Reporting(report)}, [1])
    criterion(output(), LABELS)
    with pytest.raises(InputError, match=r"^statistics of loss 'a' must be scalar .*'largest'"):
        criterion.statistics()
