"""Dropout of elements, channels and blocks."""

import math

import pytest
import torch
from torch import nn

from reid.modeling import REGULARIZERS
from reid.utils.errors import InputError


def build(name: str, **settings: float) -> nn.Module:
    """A seeded regularizer in training mode."""
    module = REGULARIZERS[name](**settings)
    module.reseed(0)  # type: ignore[operator]
    return module


def test_dropout_zeroes_at_rate_p_and_scales_the_rest_exactly() -> None:
    out = build("dropout", p=0.2)(torch.ones(100, 1000))
    assert set(out.unique().tolist()) == {0.0, 1.25}
    assert (out == 0).double().mean().item() == pytest.approx(0.2, abs=4 * 0.4 / math.sqrt(1e5))


def test_spatial_dropout_decides_by_channel_of_a_sample() -> None:
    out = build("spatial_dropout", p=0.25)(torch.ones(100, 100, 3, 2))
    whole = out[:, :, 0, 0]
    assert torch.equal(out, whole[..., None, None].expand_as(out))
    assert sorted(whole.unique().tolist()) == pytest.approx([0, 4 / 3])
    error = math.sqrt(0.25 * 0.75 / 1e4)
    assert (whole == 0).double().mean().item() == pytest.approx(0.25, abs=4 * error)


@pytest.mark.parametrize("name", ["dropout", "spatial_dropout"])
def test_p_1_drops_everything(name: str) -> None:
    assert not build(name, p=1.0)(torch.ones(2, 3, 4, 5)).any()


def test_dropblock_drops_the_blocks_below_and_right_of_its_corners() -> None:
    x = torch.rand(3, 4, 9, 7) + 1
    module = build("dropblock", p=0.3, block_size=3)
    corners = module.draw(x, 3)  # type: ignore[operator]
    kept = torch.ones_like(x)
    for b, c, y, z in corners.nonzero().tolist():
        kept[b, c, y : y + 3, z : z + 3] = 0
    module.reseed(0)  # type: ignore[operator]
    torch.testing.assert_close(module(x), x * kept * (kept.numel() / kept.sum()))


def test_dropblock_corners_come_at_rate_gamma() -> None:
    x = torch.ones(50, 20, 16, 8)
    corners = build("dropblock", p=0.1, block_size=7).draw(x, 7)  # type: ignore[operator]
    gamma = 0.1 / 49 * (16 * 8) / ((16 - 6) * (8 - 6))
    assert corners.shape == (50, 20, 10, 2)
    error = math.sqrt(gamma / corners.numel())
    assert corners.mean().item() == pytest.approx(gamma, abs=4 * error)


def test_dropblock_keeps_the_mean_and_drops_nearly_p() -> None:
    out = build("dropblock", p=0.1, block_size=3)(torch.ones(64, 32, 32, 16))
    assert out.mean().item() == pytest.approx(1, abs=1e-5)
    assert 0.08 < (out == 0).double().mean().item() < 0.1


def test_dropblock_of_block_size_1_is_dropout_of_elements() -> None:
    out = build("dropblock", p=0.4, block_size=1)(torch.ones(20, 10, 25, 20))
    error = math.sqrt(0.24 / out.numel())
    assert (out == 0).double().mean().item() == pytest.approx(0.4, abs=4 * error)


def test_dropblock_larger_than_the_map_is_cut_to_it() -> None:
    out = build("dropblock", p=0.5, block_size=7)(torch.ones(8, 8, 4, 4))
    dropped = (out == 0).flatten(2).double().mean(2)
    assert set(dropped.unique().tolist()) == {0.0, 1.0}


def test_dropblock_that_drops_everything_gives_zeros_not_nan() -> None:
    assert torch.equal(
        build("dropblock", p=1.0, block_size=1)(torch.ones(2, 2, 2, 2)), torch.zeros(2, 2, 2, 2)
    )


def test_dropblock_refuses_a_block_of_nothing() -> None:
    with pytest.raises(InputError, match="block_size must be a whole number of at least 1, got 0"):
        build("dropblock", block_size=0)
