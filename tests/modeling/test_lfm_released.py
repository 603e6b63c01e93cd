"""The law of the released code, against the slices it is written with."""

import itertools
import math

import pytest
import torch

from reid.modeling.regularizers.lfm_released import ReleasedLocalFeatureMasking, slice_twice
from reid.utils.errors import InputError


def released(seed: int = 0, **settings: float) -> ReleasedLocalFeatureMasking:
    """A seeded masking in training mode."""
    module = ReleasedLocalFeatureMasking(**settings)  # type: ignore[arg-type]
    module.reseed(seed)
    return module


def test_slice_twice_equals_pythons_slices() -> None:
    for y1, h, x1, w in itertools.product(range(8), repeat=4):
        top, rows = slice_twice(*map(torch.tensor, (y1, h, x1, w)), height=7)
        expected = list(range(7))[y1 : y1 + h][x1 : x1 + w]
        assert list(range(int(top), int(top + rows))) == expected


def test_masking_equals_assignment_in_the_order_of_the_draws() -> None:
    x = torch.randn(5, 4, 16, 8)
    module = released(1, p=1.0, num_channels=4)
    boxes = module.draw(*x.shape)
    expected = x.clone()
    for i, j in itertools.product(range(5), range(4)):
        top, rows = int(boxes.top[i, j]), int(boxes.height[i, j])
        expected[i, boxes.channels[i, j], top : top + rows] = boxes.fill[i, j]
    assert len(boxes.channels[0].unique()) < 4  # so that the order matters
    module.reseed(1)
    assert torch.equal(module(x), expected)


def test_a_third_of_the_bands_is_empty_and_the_mean_covers_an_eighth() -> None:
    boxes = released(p=1.0, num_channels=50).draw(2000, 64, 128, 64)
    share = (boxes.height * boxes.width).double() / (128 * 64)
    # The two numbers come from 50 000 draws; ours are 100 000.
    spread = math.sqrt(1 / 50_000 + 1 / 100_000)
    empty = (share == 0).double()
    assert empty.mean().item() == pytest.approx(0.338, abs=4 * empty.std().item() * spread)
    assert share.mean().item() == pytest.approx(0.126, abs=4 * share.std().item() * spread)


def test_legs_are_hardly_ever_touched() -> None:
    boxes = released(p=1.0, num_channels=50).draw(60, 64, 128, 64)
    quarters = boxes.inside(128, 64).double().mean((0, 1, 3)).view(4, 32).mean(1)
    assert quarters[3] < 0.01 < 0.05 < quarters[:3].min()


def test_bands_span_the_width_and_each_has_one_value_below_1() -> None:
    x = torch.full((4, 64, 128, 64), -1.0)
    out = released(p=1.0)(x)
    assert torch.equal(out, out[..., :1].expand_as(out))
    written = out[out != -1]
    assert 0 <= written.min() <= written.max() < 1


def test_one_coin_decides_for_the_whole_batch() -> None:
    module, n, p = released(p=0.3, num_channels=1), 2000, 0.3
    counts = [len(module.draw(8, 2, 8, 8).sample) for _ in range(n)]
    assert set(counts) == {0, 8}
    assert counts.count(8) / n == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n))


def test_one_list_of_channels_drawn_with_replacement_serves_all_samples() -> None:
    module = released(p=1.0)
    lists = [module.draw(3, 64, 16, 8).channels for _ in range(500)]
    assert all(torch.equal(c[0], c[1]) and torch.equal(c[0], c[2]) for c in lists)
    distinct = torch.tensor([float(len(c[0].unique())) for c in lists])
    expected = 64 * (1 - (1 - 1 / 64) ** 32)  # 25.3
    error = distinct.std().item() / math.sqrt(len(lists))
    assert distinct.mean().item() == pytest.approx(expected, abs=4 * error)


def test_gradient_is_zero_inside_and_upstream_outside() -> None:
    x = torch.full((4, 8, 16, 8), -1.0, requires_grad=True)
    out = released(p=1.0, num_channels=6)(x)
    out.backward(torch.full_like(out, 3.0))
    assert x.grad is not None
    assert torch.equal(x.grad, 3.0 * (out == -1))


def test_too_many_channels_are_refused() -> None:
    with pytest.raises(InputError, match=r"num_channels is 32 .* 16 channels"):
        released()(torch.randn(2, 16, 8, 8))
