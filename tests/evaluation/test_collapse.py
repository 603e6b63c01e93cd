"""Features that tell nobody apart, by hand."""

import math

import pytest
import torch

from reid.evaluation.collapse import collapse_warning, spread


def feats(rows: int, dim: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))


def test_spread_by_hand() -> None:
    # The mean is (4, 0), the offsets are (-1, 0) and (1, 0), the lengths 3 and 5.
    two = torch.tensor([[3.0, 0.0], [5.0, 0.0]])
    assert spread(two).item() == pytest.approx(math.sqrt(2 / 34))
    assert spread(100 * two).item() == pytest.approx(math.sqrt(2 / 34))


def test_the_ends_of_the_spread() -> None:
    assert spread(torch.ones(5, 3)) == 0
    assert spread(torch.zeros(5, 3)) == 0
    assert spread(torch.tensor([[1.0, 2.0], [-1.0, -2.0]])) == 1
    assert spread(torch.ones(1, 3)) == 1  # nothing to be alike to
    half = spread(feats(6).bfloat16().requires_grad_())
    assert half.dtype == torch.float32
    assert not half.requires_grad


def test_features_of_a_model_that_works_are_not_warned_of() -> None:
    assert collapse_warning(feats(20), feats(3000, seed=1)) == ""
    # The same picture twice, in half of the gallery, is a matter of the data.
    assert collapse_warning(feats(20), torch.cat([feats(40, seed=1)] * 2)) == ""


@pytest.mark.parametrize("value", [0.0, 1.0, -7.5])
def test_equal_features_are_warned_of(value: float) -> None:
    text = collapse_warning(torch.full((4, 8), value), torch.full((9, 8), value))
    assert text.startswith("all features are alike: they are 0.00% of their length away")


def test_features_near_each_other_are_warned_of() -> None:
    center = torch.full((1, 8), 100.0)
    text = collapse_warning(center + 0.1 * feats(20), center + 0.1 * feats(50, seed=1))
    assert "all features are alike: they are 0.10% of their length" in text
    assert collapse_warning(center + 2 * feats(20), center + 2 * feats(50, seed=1)) == ""


def test_copies_are_warned_of_with_their_side_and_share() -> None:
    few = torch.eye(4, 8).repeat(25, 1)  # 100 rows, 4 of them different
    assert collapse_warning(feats(20), few).startswith("96% of the gallery features are copies")
    assert collapse_warning(few, feats(20)).startswith("96% of the query features are copies")
