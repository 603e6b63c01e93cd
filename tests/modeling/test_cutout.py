"""Cutout, against plain loops and against what follows from its law."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reid.modeling import BACKBONES, HEADS, ReIDModel
from reid.modeling.regularizers.cutout import Cutout
from reid.utils.errors import InputError


def cutout(seed: int = 0, **settings: float) -> Cutout:
    """A seeded one in training mode."""
    module = Cutout(**settings)
    module.reseed(seed)
    return module


def masked_by_loops(x: Tensor, corners: Tensor) -> Tensor:
    """The law, cell by cell."""
    out = x.clone()
    for i, (top, left, side) in enumerate(corners.tolist()):
        for y in range(x.shape[2]):
            for z in range(x.shape[3]):
                if top <= y < top + side and left <= z < left + side:
                    out[i, :, y, z] = 0
    return out


def mean_inside(side: int, size: int) -> float:
    """Cells of a span of ``side`` that lie in 0..size - 1, meant over the centres.

    A centre at distance d < side / 2 of a border loses side / 2 - d there: (side / 2)^2 / 2 for
    each border and unit of length; of an odd side whose centre is a cell's, 1 / 8 less.
    """
    return side - 2 * (side**2 / 8 - side % 2 / 8) / size


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 11), st.integers(1, 11)),
    p=st.floats(0, 1),
    side=st.floats(0.01, 1),
    seed=st.integers(0, 2**31),
)
def test_cutout_equals_the_loops(
    shape: tuple[int, int, int, int], p: float, side: float, seed: int
) -> None:
    x = -torch.ones(shape)
    module = cutout(seed, p=p, side=side)
    corners = module.draw(shape[0], *shape[2:])
    module.reseed(seed)
    assert torch.equal(module(x), masked_by_loops(x, corners))


@pytest.mark.parametrize("seed", range(3))
def test_the_zeroes_are_one_square_in_all_channels_cut_by_the_border_alone(seed: int) -> None:
    out = cutout(seed)(torch.ones(50, 3, 24, 12))
    hanging = 0
    for image in out:
        assert torch.equal(image, image[:1].expand_as(image))
        rows, columns = (image[0] == 0).nonzero(as_tuple=True)
        height, width = (int(at.max() - at.min()) + 1 for at in (rows, columns))
        assert height * width == len(rows)
        for length, at, size in ((height, rows, 24), (width, columns, 12)):
            at_border = at.min() == 0 or at.max() == size - 1
            assert length == 6 or (length < 6 and at_border)
            hanging += length < 6
    assert hanging > 0


def test_the_side_is_a_share_of_the_shorter_side_at_every_resolution() -> None:
    sizes = [(128, 64), (256, 128), (64, 128), (5, 5), (1, 9)]
    sides = [int(cutout(side=0.25).draw(1, *size)[0, 2]) for size in sizes]
    assert sides == [16, 32, 16, 1, 1]


@pytest.mark.parametrize("side", [6, 7])
def test_the_centre_is_uniform_over_the_map(side: int) -> None:
    n, size = 40_000, 14
    top = cutout(side=side / size).draw(n, size, size)[:, 0]
    # An odd side is centred on each of the 14 cells alike. An even one is centred between cells,
    # and the two places on the border collect half as many centres as the 13 within.
    shares = [1 / size] * size if side % 2 else [0.5 / size, *[1 / size] * (size - 1), 0.5 / size]
    found = (top + side // 2).bincount(minlength=len(shares)).double()
    assert len(found) == len(shares)
    chi2 = sum((f - n * s) ** 2 / (n * s) for f, s in zip(found.tolist(), shares, strict=True))
    freedom = len(shares) - 1
    assert chi2 < freedom + 5 * math.sqrt(2 * freedom)


def test_rows_and_columns_are_drawn_independently() -> None:
    top, left, _ = cutout().draw(40_000, 64, 64).double().unbind(1)
    assert abs(torch.corrcoef(torch.stack([top, left]))[0, 1].item()) < 4 / math.sqrt(40_000)


@pytest.mark.parametrize("side", [0.25, 0.5, 5 / 12, 1.0])
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_the_masked_share_is_that_of_the_closed_form(p: float, side: float) -> None:
    n, height, width = 20_000, 24, 12
    zeros = (cutout(p=p, side=side)(torch.ones(n, 1, height, width)) == 0).double().mean((1, 2, 3))
    cells = round(side * width)
    expected = p * mean_inside(cells, height) / height * mean_inside(cells, width) / width
    error = zeros.std().item() / math.sqrt(n)
    assert zeros.mean().item() == pytest.approx(expected, abs=4 * error)


def test_samples_are_masked_at_rate_p() -> None:
    n, p = 20_000, 0.3
    rate = (cutout(p=p).draw(n, 8, 8)[:, 2] > 0).double().mean().item()
    assert rate == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n))
    assert (cutout(p=1.0).draw(n, 8, 8)[:, 2] == 4).all()


def test_gradient_is_upstream_outside_and_zero_inside_even_of_infinity() -> None:
    x = torch.ones(6, 3, 16, 8, requires_grad=True)
    out = cutout()(x)
    inside = out.detach() == 0
    upstream = torch.randn(out.shape).masked_fill(inside, torch.inf)
    out.backward(upstream)
    assert x.grad is not None
    assert torch.equal(x.grad, torch.where(inside, 0.0, upstream))


def test_eval_mode_and_p_0_return_the_input_itself() -> None:
    x = torch.randn(4, 3, 8, 8)
    assert cutout().eval()(x) is x
    assert cutout(p=0.0)(x) is x


def test_at_input_it_writes_the_pixel_mean() -> None:
    seen = []
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    backbone, head = BACKBONES["resnet18"](), HEADS["bnneck"](512, 2)
    model = ReIDModel(backbone, head, {"input": cutout()}, mean, std)
    backbone.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    images = torch.rand(4, 3, 32, 16)
    model(images)
    pixels = seen[0] * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)
    inside = (seen[0] == 0).all(1, keepdim=True).expand_as(images)
    assert 0.02 < inside.double().mean().item() < 0.2
    assert torch.equal(pixels[inside], torch.tensor(mean).view(3, 1, 1).expand_as(images)[inside])
    torch.testing.assert_close(pixels[~inside], images[~inside])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_masks_what_the_cpu_masks_without_waiting() -> None:
    x = torch.randn(16, 3, 32, 16)
    expected, on_cuda, module = cutout(5)(x), x.cuda(), cutout(5)
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = module(on_cuda)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(out.cpu(), expected)


@pytest.mark.parametrize("side", [0.0, -0.5, 1.5, math.nan])
def test_a_side_that_is_no_share_is_refused(side: float) -> None:
    with pytest.raises(InputError, match="side must be more than 0 and at most 1"):
        Cutout(side=side)
