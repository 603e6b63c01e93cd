"""Neck and classifier."""

import pytest
import torch
from torch import Tensor

from reid.modeling import HEADS
from reid.utils.errors import InputError


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


@pytest.mark.parametrize("name", ["bnneck", "linear", "reduction"])
def test_classifier_starts_small(name: str) -> None:
    weight = HEADS[name](feat_dim=500, num_classes=100).classifier.weight  # type: ignore
    # The standard error of a standard deviation over n values is its value / sqrt(2 n).
    assert weight.std().item() == pytest.approx(0.001, rel=5 / (2 * 50_000) ** 0.5)


def test_a_bnneck_without_embedding_and_dropout_is_what_it_was_to_the_bit() -> None:
    torch.manual_seed(3)
    head = HEADS["bnneck"](feat_dim=6, num_classes=4)
    torch.manual_seed(3)
    expected = torch.nn.Linear(6, 4, bias=False)
    torch.nn.init.normal_(expected.weight, std=0.001)
    state = head.state_dict()
    assert torch.equal(state["classifier.weight"], expected.weight)
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(state) == [*(f"bottleneck.{name}" for name in norm), "classifier.weight"]
    # What draws random numbers is counted by checkpoints inside an epoch.
    assert not any(hasattr(module, "rng") for module in head.modules())


def standardized(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()


@pytest.mark.parametrize("name", ["bnneck", "reduction"])
def test_the_embedding_is_before_the_neck_and_dropout_behind_it(name: str) -> None:
    head = HEADS[name](feat_dim=6, num_classes=3, embedding_dim=3, dropout=0.5)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(3))  # type: ignore
        head.bottleneck.weight.fill_(2.0)  # type: ignore
    pooled = torch.randn(8, 6)
    out = head(pooled)
    feat = pooled @ head.embedding.weight.T  # type: ignore
    torch.testing.assert_close(out.feat, feat)
    torch.testing.assert_close(out.feat_bn, 2 * standardized(feat))
    # Each logit is a cell of the normalized feature: dropped, or doubled.
    kept = out.logits != 0
    torch.testing.assert_close(out.logits, torch.where(kept, 2 * out.feat_bn, 0))
    assert 0 < kept.sum() < kept.numel()
    still = head.eval()(pooled)
    torch.testing.assert_close(still.logits, still.feat_bn)


def test_reduction_starts_as_layumis_class_block() -> None:
    head = HEADS["reduction"](feat_dim=400, num_classes=100)
    assert head.feat_dim == 512
    linear, norm, classifier = head.embedding, head.bottleneck, head.classifier
    # The standard error of a standard deviation over n values is its value / sqrt(2 n).
    expected = [(linear, 0.0, (2 / 512) ** 0.5), (norm, 1.0, 0.02), (classifier, 0.0, 0.001)]
    for layer, mean, std in expected:
        weight = layer.weight.detach()  # type: ignore
        assert weight.mean().item() == pytest.approx(mean, abs=5 * std / weight.numel() ** 0.5)
        assert weight.std().item() == pytest.approx(std, rel=5 / (2 * weight.numel()) ** 0.5)
        assert layer.bias.requires_grad and not layer.bias.any()  # type: ignore
    assert head.dropout.p == 0.5  # type: ignore[union-attr]


def test_reduction_has_no_dropout_where_it_is_0() -> None:
    head = HEADS["reduction"](feat_dim=4, num_classes=2, embedding_dim=3, dropout=0.0)
    out = head(torch.randn(5, 4))
    classifier = head.classifier
    torch.testing.assert_close(out.logits, classifier(out.feat_bn))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("bnneck", "embedding_dim", -1),
        ("reduction", "embedding_dim", -1),
        ("bnneck", "dropout", 1.5),
        ("reduction", "dropout", -0.5),
    ],
)
def test_what_makes_no_layer_is_refused(name: str, argument: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{argument} must be "):
        HEADS[name](feat_dim=4, num_classes=2, **{argument: value})


def test_a_relu_of_the_reduction_is_behind_its_normalization() -> None:
    head = HEADS["reduction"](feat_dim=6, num_classes=4, embedding_dim=5, dropout=0.0, relu=True)
    out = head.eval()(torch.randn(9, 6))
    expected = head.bottleneck(out.feat).clamp(min=0)  # type: ignore[operator]
    assert (out.feat < 0).any() and torch.equal(out.feat_bn, expected)
    torch.testing.assert_close(out.logits, head.classifier(expected))  # type: ignore[operator]


def test_a_reduction_of_length_0_has_no_linear_layer() -> None:
    head = HEADS["reduction"](feat_dim=6, num_classes=4, embedding_dim=0).eval()
    feat = torch.randn(3, 6)
    assert head.feat_dim == 6 and head(feat).feat is feat
