"""Masking of single cells, against plain loops and against what follows from its law."""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from reid.modeling.regularizers.cells import CellMasking
from reid.modeling.regularizers.fills import Fill
from reid.utils.errors import InputError


def cells(seed: int = 0, **settings: object) -> CellMasking:
    """A seeded masking in training mode."""
    module = CellMasking(**settings)  # type: ignore[arg-type]
    module.reseed(seed)
    return module


def masked_by_loops(x: Tensor, places: Tensor, uniform: Tensor, fill: str) -> Tensor:
    """The law, cell by cell."""
    out = x.clone()
    normal = torch.distributions.Normal(0.0, 1.0)
    _, channels, height, width = x.shape
    for place, die in zip(places.tolist(), uniform, strict=True):
        sample, rest = divmod(place, channels * height * width)
        channel, rest = divmod(rest, height * width)
        mean, sd = x[sample, channel].mean(), x[sample, channel].std(correction=0)
        out[sample, channel, rest // width, rest % width] = {
            "uniform": die,
            "zero": torch.tensor(0.0),
            "mean": mean,
            "normal": mean + sd * normal.icdf(die),
            "scaled": mean + sd * (2 * die - 1) * 3**0.5,
        }[fill]
    return out


@pytest.mark.parametrize("fill", get_args(Fill))
@pytest.mark.parametrize("in_place", [False, True])
def test_cells_equal_the_loops(fill: str, in_place: bool) -> None:
    x = torch.randn(4, 3, 6, 5)
    module = cells(3, p=0.3, fill=fill)
    module.in_place = in_place
    places, uniform = module.draw(x.numel())
    assert 0 < len(places) < x.numel()
    expected = masked_by_loops(x, places, uniform, fill)
    module.reseed(3)
    out = module(x.clone())
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    untouched = torch.ones(x.numel(), dtype=torch.bool)
    untouched[places] = False
    assert torch.equal(out.flatten()[untouched], x.flatten()[untouched])


@pytest.mark.parametrize("p", [0.0153, 0.3, 0.9])
def test_cells_come_at_rate_p_one_by_one(p: float) -> None:
    n = 400_000
    hit = torch.zeros(n, dtype=torch.double)
    places, uniform = cells(p=p).draw(n)
    hit[places] = 1
    assert len(places) == len(uniform) == int(hit.sum())
    assert hit.mean().item() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n))
    # Independent coins: two cells are both hit at rate p^2, at every distance. A product shares a
    # cell with two others, so that their mean has the variance p^2 (1 + 2 p) / n at most.
    error = p * math.sqrt((1 + 2 * p) / n)
    for distance in (1, 2, 64):
        both = (hit[distance:] * hit[:-distance]).mean().item()
        assert both == pytest.approx(p * p, abs=4.5 * error)


def test_counts_of_maps_spread_as_those_of_independent_coins() -> None:
    module, p, n = cells(p=0.1), 0.1, 200
    counts = torch.tensor([float(len(module.draw(n)[0])) for _ in range(4000)])
    variance = n * p * (1 - p)
    assert counts.mean().item() == pytest.approx(n * p, abs=4 * math.sqrt(variance / 4000))
    assert counts.var().item() == pytest.approx(variance, abs=5 * variance * math.sqrt(2 / 4000))


def test_the_default_is_lfms_share_and_each_cell_has_its_own_value() -> None:
    x = torch.full((16, 64, 32, 16), -1.0)
    out = cells()(x)
    written = out[out != -1]
    share = len(written) / x.numel()
    assert share == pytest.approx(0.15 * 32 / 64 * 0.2042, rel=0.05)
    assert len(written.unique()) > 0.99 * len(written)
    assert written.min() >= 0 and written.max() < 1
    assert written.mean().item() == pytest.approx(0.5, abs=4 / math.sqrt(12 * len(written)))


@pytest.mark.parametrize("p", [1e-30, 1.0])
def test_the_ends_of_the_range(p: float) -> None:
    x = torch.randn(3, 4, 5, 6)
    assert torch.equal(cells(p=p, fill="zero")(x), torch.zeros_like(x) if p == 1 else x)
    assert cells(p=0.0)(x) is x
    assert cells(p=1.0).eval()(x) is x


def test_gradient_is_zero_in_overwritten_cells_and_upstream_elsewhere() -> None:
    x = torch.full((6, 8, 16, 8), -1.0, requires_grad=True)
    for fill in get_args(Fill):
        module = cells(p=0.2, fill=fill)
        places, _ = module.draw(x.numel())
        module.reseed(0)
        upstream = torch.randn(x.shape)
        expected = upstream.clone()
        expected.view(-1)[places] = 0
        (grad,) = torch.autograd.grad(module(x), x, upstream)
        assert torch.equal(grad, expected)


@pytest.mark.parametrize("fmt", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_type_and_memory_format_change_no_cell(
    dtype: torch.dtype, fmt: torch.memory_format
) -> None:
    x = (-1 - torch.rand(6, 8, 16, 12)).to(dtype).contiguous(memory_format=fmt)
    out = cells(p=0.3)(x)
    assert out.dtype == dtype and out.is_contiguous(memory_format=fmt)
    assert torch.equal(out, cells(p=0.3)(x.float().contiguous()).to(dtype))


def test_fills_share_their_cells_under_one_seed() -> None:
    x = torch.full((4, 8, 16, 16), -1.0)
    changed = [cells(7, p=0.1, fill=fill)(x) != x for fill in ("uniform", "zero")]
    assert changed[0].any() and torch.equal(*changed)


def test_compiled_masking_equals_the_eager_one_in_value_and_gradient() -> None:
    torch.compiler.reset()
    module = cells(p=0.2, fill="scaled")
    compiled = torch.compile(module, backend="aot_eager")
    x = torch.randn(4, 8, 16, 8, requires_grad=True)
    for seed in range(3):
        outs = []
        for run in (compiled, module):
            module.reseed(seed)
            out = run(x)
            outs.append((out, torch.autograd.grad(out.square().sum(), x)[0]))
        assert torch.equal(outs[0][0], outs[1][0]) and torch.equal(outs[0][1], outs[1][1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("fill", get_args(Fill))
def test_cuda_masks_what_the_cpu_masks_without_waiting(fill: str) -> None:
    x = torch.randn(16, 64, 32, 16)
    expected = cells(5, fill=fill)(x)
    on_cuda, module = x.cuda().requires_grad_(), cells(5, fill=fill)
    upstream = torch.ones_like(on_cuda)
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = module(on_cuda)
        out.backward(upstream)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_fill_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'scaled'"):
        cells(fill="scale")
