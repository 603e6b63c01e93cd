"""Cross entropy with label smoothing, against the formula."""

import math

import pytest
import torch

from reid.losses.ce import CrossEntropy
from reid.utils.errors import InputError


def test_two_classes_by_hand() -> None:
    # Softmax of (0, log 3) is (1/4, 3/4); smoothed by 0.2 label 1 wants (0.1, 0.9).
    logits = torch.tensor([[0.0, math.log(3)]])
    loss = CrossEntropy(label_smoothing=0.2)(logits, torch.tensor([1]))
    assert loss.item() == pytest.approx(-(0.1 * math.log(0.25) + 0.9 * math.log(0.75)), rel=1e-6)


def test_smoothing_spreads_over_all_classes() -> None:
    logits, labels, eps = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1]), 0.1
    log_p = torch.log(logits.exp() / logits.exp().sum(1, keepdim=True))
    total = 0.0
    for i, label in enumerate(labels.tolist()):
        for c in range(4):
            wanted = eps / 4 + (1 - eps) * (c == label)
            total -= wanted * log_p[i, c].item()
    assert CrossEntropy(eps)(logits, labels).item() == pytest.approx(total / 6, rel=1e-5)


def test_half_precision_logits_are_summed_in_fp32() -> None:
    logits, labels = torch.randn(4, 800).bfloat16(), torch.arange(4)
    loss = CrossEntropy()(logits, labels)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, CrossEntropy()(logits.float(), labels))


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, math.nan])
def test_smoothing_outside_0_1_is_refused(smoothing: float) -> None:
    with pytest.raises(InputError, match="label_smoothing must be at least 0 and at most 1"):
        CrossEntropy(smoothing)
