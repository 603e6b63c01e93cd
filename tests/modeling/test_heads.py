"""Neck and classifier."""

import pytest
import torch

from reid.modeling import HEADS


def test_bnneck_standardizes_over_the_batch_and_classifies_the_result() -> None:
    head = HEADS["bnneck"](feat_dim=3, num_classes=4)
    feat = torch.tensor([[0.0, 1.0, 5.0], [2.0, 3.0, 9.0]])
    out = head(feat)
    assert out.feat is feat
    # Two values a < b have mean (a + b) / 2 and standard deviation (b - a) / 2: -1 and 1.
    torch.testing.assert_close(
        out.feat_bn, torch.tensor([[-1.0] * 3, [1.0] * 3]), rtol=0, atol=1e-5
    )
    weight = head.classifier.weight  # type: ignore[union-attr]
    torch.testing.assert_close(out.logits, out.feat_bn @ weight.T)  # type: ignore[operator]


def test_bnneck_trains_no_shift_and_no_classifier_bias() -> None:
    head = HEADS["bnneck"](feat_dim=3, num_classes=4)
    trained = [name for name, value in head.named_parameters() if value.requires_grad]
    assert trained == ["bottleneck.weight", "classifier.weight"]
    assert not head.bottleneck.bias.any()  # type: ignore[union-attr, operator]


def test_bnneck_uses_running_statistics_in_evaluation() -> None:
    head = HEADS["bnneck"](feat_dim=3, num_classes=4)
    feat = torch.randn(8, 3) + 5
    head(feat)
    neck = head.bottleneck
    expected = (feat - neck.running_mean) / (neck.running_var + neck.eps).sqrt()  # type: ignore
    torch.testing.assert_close(head.eval()(feat).feat_bn, expected)


def test_linear_head_has_no_neck() -> None:
    head = HEADS["linear"](feat_dim=3, num_classes=4)
    torch.nn.init.constant_(head.classifier.bias, 2.0)  # type: ignore
    feat = torch.randn(5, 3)
    out = head(feat)
    assert out.feat is feat
    assert out.feat_bn is feat
    torch.testing.assert_close(out.logits, feat @ head.classifier.weight.T + 2)  # type: ignore


@pytest.mark.parametrize("name", ["bnneck", "linear"])
def test_classifier_starts_small(name: str) -> None:
    weight = HEADS[name](feat_dim=500, num_classes=100).classifier.weight  # type: ignore
    # The standard error of a standard deviation over n values is its value / sqrt(2 n).
    assert weight.std().item() == pytest.approx(0.001, rel=5 / (2 * 50_000) ** 0.5)
