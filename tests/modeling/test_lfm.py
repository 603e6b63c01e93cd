"""Local feature masking, against plain loops and against what follows from its law."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reid.modeling.regularizers.boxes import Boxes, draw_sizes
from reid.modeling.regularizers.fills import Fill, channel_values
from reid.modeling.regularizers.lfm import LocalFeatureMasking
from reid.utils.errors import InputError

FORMATS = [torch.contiguous_format, torch.channels_last]


def lfm(seed: int = 0, **settings: object) -> LocalFeatureMasking:
    """A seeded masking in training mode."""
    module = LocalFeatureMasking(**settings)  # type: ignore[arg-type]
    module.reseed(seed)
    return module


def boxes_of_next_pass(module: LocalFeatureMasking, seed: int, x: Tensor) -> Boxes:
    """What a forward pass over x will draw; the module is put back to that point."""
    module.reseed(seed)
    boxes = module.draw(*x.shape)
    module.reseed(seed)
    return boxes


def masked_by_loops(x: Tensor, boxes: Boxes, fill: str) -> Tensor:
    """The law, cell by cell."""
    out = x.clone()
    normal = torch.distributions.Normal(0.0, 1.0)
    for row, i in enumerate(boxes.sample.tolist()):
        for column, c in enumerate(boxes.channels[row].tolist()):
            top, left = int(boxes.top[row, column]), int(boxes.left[row, column])
            die = boxes.fill[row, column]
            value = {
                "uniform": die,
                "zero": torch.tensor(0.0),
                "mean": x[i, c].mean(),
                "normal": x[i, c].mean() + x[i, c].std(correction=0) * normal.icdf(die),
                "scaled": x[i, c].mean() + x[i, c].std(correction=0) * (2 * die - 1) * 3**0.5,
            }[fill]
            for y in range(top, top + int(boxes.height[row, column])):
                for z in range(left, left + int(boxes.width[row, column])):
                    out[i, c, y, z] = value
    return out


@pytest.mark.parametrize("fill", get_args(Fill))
def test_lfm_equals_the_loops(fill: str) -> None:
    x = torch.randn(8, 6, 12, 10)
    module = lfm(p=0.6, num_channels=3, fill=fill)
    boxes = boxes_of_next_pass(module, 3, x)
    assert 0 < len(boxes.sample) < 8
    torch.testing.assert_close(module(x), masked_by_loops(x, boxes, fill), rtol=1e-5, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*(st.integers(low, 9) for low in (1, 2, 1, 1))),
    p=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_lfm_equals_the_loops_on_any_shape(
    shape: tuple[int, int, int, int], p: float, seed: int
) -> None:
    x = -torch.ones(shape)
    module = lfm(p=p, num_channels=2)
    boxes = boxes_of_next_pass(module, seed, x)
    assert torch.equal(module(x), masked_by_loops(x, boxes, "uniform"))


def test_masked_samples_come_at_rate_p() -> None:
    n, p = 20_000, 0.15
    rate = len(lfm(p=p, num_channels=1).draw(n, 2, 8, 8).sample) / n
    assert rate == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n))


def test_masked_counts_of_batches_spread_as_independent_coins_do() -> None:
    module, batches, p = lfm(p=0.15, num_channels=1), 3000, 0.15
    counts = [len(module.draw(16, 2, 8, 8).sample) for _ in range(batches)]
    # Variance B p (1 - p) = 2.04 for a coin per sample; one coin per batch would make it 32.6.
    expected = 16 * p * (1 - p)
    error = expected * math.sqrt(2 / batches)
    assert torch.tensor(counts).double().var().item() == pytest.approx(expected, abs=5 * error)


def test_samples_choose_their_channels_independently() -> None:
    chosen = lfm(p=1.0).draw(4000, 64, 8, 8).channels
    shared = [len({*a} & {*b}) for a, b in zip(*chosen.view(2, -1, 32).tolist(), strict=True)]
    # Hypergeometric: 32 marked of 64, 32 drawn: mean 16, variance 32 / 4 * 32 / 63 = 4.06.
    error = math.sqrt(4.06 / len(shared))
    assert sum(shared) / len(shared) == pytest.approx(16, abs=4 * error)


def test_every_channel_is_chosen_equally_often() -> None:
    chosen = lfm(p=1.0, num_channels=2).draw(20_000, 8, 8, 8).channels
    share = chosen.flatten().bincount(minlength=8) / 20_000
    error = math.sqrt(0.25 * 0.75 / 20_000)
    assert share.tolist() == pytest.approx([0.25] * 8, abs=4 * error)


def test_a_masked_sample_changes_in_exactly_num_channels_channels() -> None:
    x = torch.full((40, 64, 128, 64), -1.0)
    touched = (lfm(p=0.5)(x) != x).flatten(2).any(2).sum(1)
    assert set(touched.tolist()) == {0, 32}


def test_changed_cells_of_a_channel_are_one_rectangle_of_one_value_in_0_1() -> None:
    x = torch.full((6, 64, 128, 64), -1.0)
    out = lfm(p=1.0)(x)
    for channel in out.flatten(0, 1):
        rows, columns = (channel != -1).nonzero(as_tuple=True)
        if len(rows):
            box = channel[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert box.numel() == len(rows)
            assert 0 <= box.unique().item() < 1


def test_two_channels_get_two_rectangles_and_two_values() -> None:
    boxes = lfm(p=1.0).draw(50, 64, 128, 64)
    assert len(boxes.fill.unique()) > 0.99 * boxes.fill.numel()
    places = torch.stack([boxes.top, boxes.left, boxes.height, boxes.width], -1).flatten(0, 1)
    assert len(places.unique(dim=0)) > 0.9 * len(places)


def test_mean_rectangle_covers_a_fifth_of_a_128_by_64_map() -> None:
    boxes = lfm(p=1.0, num_channels=50).draw(2000, 64, 128, 64)
    share = (boxes.height * boxes.width).double() / (128 * 64)
    # 0.2042 is itself a mean over 100 000 draws, so the difference has twice the variance.
    error = share.std().item() * math.sqrt(2 / share.numel())
    assert share.mean().item() == pytest.approx(0.2042, abs=4 * error)


def test_rectangles_have_the_drawn_area_and_aspect() -> None:
    boxes = lfm(p=1.0, num_channels=8, area=(0.1, 0.2), aspect=(0.5, 0.5)).draw(200, 8, 400, 400)
    share = (boxes.height * boxes.width) / 400**2
    assert share.min() > 0.099
    assert share.max() < 0.201
    assert share.mean().item() == pytest.approx(0.15, abs=4 * 0.1 / math.sqrt(12 * 1600))
    assert ((boxes.height / boxes.width - 0.5).abs() < 0.01).all()


def test_coverage_is_symmetric_top_to_bottom_and_left_to_right() -> None:
    boxes = lfm(p=1.0, num_channels=50).draw(1000, 64, 128, 64)
    for start, length, size in ((boxes.top, boxes.height, 128), (boxes.left, boxes.width, 64)):
        # Rooms above and below have the same law, so their difference has mean 0.
        lean = (start - (size - start - length)).double()
        assert abs(lean.mean().item()) < 4 * lean.std().item() / math.sqrt(lean.numel())


def test_rectangles_reach_every_border() -> None:
    boxes = lfm(p=1.0, num_channels=50).draw(1000, 64, 16, 8)
    assert boxes.top.min() == 0
    assert boxes.left.min() == 0
    assert (boxes.top + boxes.height).max() == 16
    assert (boxes.left + boxes.width).max() == 8


def test_rectangles_are_smaller_than_the_map_on_both_sides() -> None:
    boxes = lfm(p=1.0, num_channels=50, area=(0.3, 0.9)).draw(500, 64, 16, 8)
    assert boxes.height.max() < 16
    assert boxes.width.max() < 8


def test_a_channel_in_which_no_rectangle_fits_stays_as_it_is() -> None:
    x = torch.randn(3, 2, 8, 8)
    assert torch.equal(lfm(p=1.0, num_channels=2, area=(1.0, 1.0), aspect=(1.0, 1.0))(x), x)


def test_one_and_a_half_percent_of_all_cells_are_overwritten() -> None:
    batch, p = 60_000, 0.15
    boxes = lfm(p=p).draw(batch, 64, 128, 64)
    share = (boxes.height * boxes.width).sum().item() / (batch * 64 * 128 * 64)
    error = 0.0153 * math.sqrt((1 - p) / (p * batch))
    assert share == pytest.approx(p * 32 / 64 * 0.2042, abs=4 * error)


def test_gradient_is_upstream_outside_and_zero_inside_even_of_infinity() -> None:
    x = torch.full((6, 8, 16, 8), -1.0, requires_grad=True)
    out = lfm(p=0.7, num_channels=4)(x)
    inside = out.detach() != -1
    upstream = torch.randn(out.shape).masked_fill(inside, torch.inf)
    kept = upstream.clone()
    out.backward(upstream)
    assert x.grad is not None
    assert inside.any()
    assert torch.equal(x.grad, torch.where(inside, 0.0, upstream))
    assert torch.equal(upstream, kept)


def test_first_and_second_derivatives_are_right() -> None:
    module = lfm(p=0.7, num_channels=2)

    def masked(x: Tensor) -> Tensor:
        module.reseed(4)
        return module(x).square()

    x = torch.randn(3, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(masked, x)
    assert torch.autograd.gradgradcheck(masked, x)


@pytest.mark.parametrize("fill", ["mean", "normal", "scaled"])
def test_no_gradient_flows_through_the_statistics_of_a_fill(fill: str) -> None:
    x = torch.randn(4, 4, 8, 8, requires_grad=True)
    module = lfm(p=1.0, num_channels=4, fill=fill)
    boxes = boxes_of_next_pass(module, 1, x)
    order = boxes.sample
    inside = torch.zeros(len(order), 4, 8, 8, dtype=torch.bool)
    for i in range(len(order)):
        for k, channel in enumerate(boxes.channels[i].tolist()):
            top, left = int(boxes.top[i, k]), int(boxes.left[i, k])
            height, width = int(boxes.height[i, k]), int(boxes.width[i, k])
            inside[i, channel, top : top + height, left : left + width] = True
    module(x).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad[order], (~inside).float())


def test_eval_mode_and_p_0_return_the_input_itself() -> None:
    x = torch.randn(4, 64, 8, 8)
    assert lfm(p=1.0).eval()(x) is x
    assert lfm(p=0.0)(x) is x


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("place", ["box", "cells"])
def test_dtype_and_memory_format_are_kept_and_do_not_change_the_mask(
    dtype: torch.dtype, fmt: torch.memory_format, place: str
) -> None:
    x = -1 - torch.rand(6, 8, 16, 12)  # so that no fill can equal what it replaces
    x = x.to(dtype).contiguous(memory_format=fmt).requires_grad_()
    out = lfm(p=0.5, num_channels=3, place=place)(x)
    out.backward(torch.ones_like(out))
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=fmt)
    plain = x.detach().float().contiguous()
    expected = lfm(p=0.5, num_channels=3, place=place)(plain).to(dtype)
    assert torch.equal(out, expected)
    assert x.grad is not None
    assert torch.equal(x.grad, (out == x).to(dtype))


def test_fills_share_their_rectangles_under_one_seed() -> None:
    x = torch.full((8, 8, 16, 16), -1.0)
    changed = [lfm(7, p=0.5, num_channels=4, fill=fill)(x) != x for fill in ("uniform", "zero")]
    assert changed[0].any()
    assert torch.equal(*changed)


def test_scaled_values_have_the_channels_mean_and_deviation_and_its_bounds() -> None:
    uniform = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    values = channel_values("scaled", uniform, torch.tensor(7.0), torch.tensor(2.0))
    # The standard error of a mean is sd / sqrt(n); that of a uniform law's deviation is smaller.
    error = 2 / math.sqrt(len(values))
    assert values.mean().item() == pytest.approx(7, abs=4 * error)
    assert values.std().item() == pytest.approx(2, abs=4 * error)
    assert (values - 7).abs().max() <= 2 * 3**0.5 + 1e-5


def test_a_pass_draws_its_numbers_in_the_order_of_earlier_versions() -> None:
    module = lfm(9, p=0.5, num_channels=2, area=(0.05, 0.1), aspect=(1.0, 1.0))
    boxes = module.draw(8, 5, 16, 12)
    generator = torch.Generator().manual_seed(9)
    sample = (torch.rand(8, generator=generator) < 0.5).nonzero().flatten()
    order = torch.rand(len(sample), 5, dtype=torch.float64, generator=generator)
    shape = (len(sample), 2)
    # Squares of at most a tenth of the map fit at once, so that one round of draws is enough.
    height, width = draw_sizes(shape, (16, 12), (0.05, 0.1), (1.0, 1.0), generator)
    rooms = ((16 - height, boxes.top), (12 - width, boxes.left))
    assert torch.equal(boxes.sample, sample)
    assert torch.equal(boxes.channels, order.argsort(1)[:, :2])
    assert torch.equal(boxes.height, height) and torch.equal(boxes.width, width)
    for room, start in rooms:
        share = torch.rand(shape, dtype=torch.float64, generator=generator)
        assert torch.equal(start, (share * (room + 1)).long())
    assert torch.equal(boxes.fill, torch.rand(shape, generator=generator))
    own = module.rng.on(torch.device("cpu"))
    assert own is not None and torch.equal(own.get_state(), generator.get_state())


def changed_and_values(place: str, passes: int) -> list[tuple[Tensor, Tensor]]:
    """For each pass: changed cells by channel, and the largest value of each channel."""
    x = torch.full((8, 6, 16, 12), -1.0)
    module = lfm(4, p=0.5, num_channels=3, place=place)
    outs = [module(x) for _ in range(passes)]
    return [((out != -1).sum((2, 3)), out.amax((2, 3))) for out in outs]


def test_cells_share_with_boxes_all_but_the_place_in_every_pass() -> None:
    boxes, cells = changed_and_values("box", 5), changed_and_values("cells", 5)
    assert sum(int(count.sum()) for count, _ in boxes) > 0
    for box, cell in zip(boxes, cells, strict=True):
        assert torch.equal(box[0], cell[0]) and torch.equal(box[1], cell[1])
    assert not torch.equal(boxes[0][0], boxes[1][0])


def test_cells_of_a_channel_have_one_value_and_lie_apart() -> None:
    x = torch.full((20, 8, 32, 16), -1.0)
    out = lfm(p=1.0, num_channels=8, place="cells")(x)
    whole = 0
    for channel in out.flatten(0, 1):
        assert len(channel[channel != -1].unique()) == 1
        rows, columns = (channel != -1).nonzero(as_tuple=True)
        box = channel[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        whole += box.numel() == len(rows)
    assert whole < 3  # a box of one value would be whole in all 160


def test_every_cell_is_chosen_equally_often_and_independently_of_other_channels() -> None:
    module = lfm(p=1.0, num_channels=2, area=(0.25, 0.25), aspect=(1.0, 1.0), place="cells")
    boxes = module.draw(8000, 2, 8, 8)
    inside = module.draw_cells(boxes, 8, 8)
    assert torch.equal(inside.sum((2, 3)), boxes.height * boxes.width)
    share = inside.double().mean(0)
    error = math.sqrt(0.25 * 0.75 / 8000)
    assert (share - 0.25).abs().max() < 4.5 * error
    # Both channels have 16 of 64 cells: they share 4 on average, with variance 4 * 0.75 * 48 / 63.
    shared = (inside[:, 0] & inside[:, 1]).sum((1, 2)).double().mean().item()
    assert shared == pytest.approx(4, abs=4 * math.sqrt(4 * 0.75 * 48 / 63 / 8000))


def test_gradient_is_zero_in_single_cells_and_upstream_elsewhere() -> None:
    x = torch.full((6, 8, 16, 8), -1.0, requires_grad=True)
    out = lfm(p=0.7, num_channels=4, place="cells")(x)
    upstream = torch.randn(out.shape)
    out.backward(upstream)
    assert x.grad is not None and (out != -1).any()
    assert torch.equal(x.grad, torch.where(out != -1, 0.0, upstream))


def test_next_pass_draws_another_mask_and_reseeding_repeats_the_first() -> None:
    x = torch.full((8, 64, 16, 16), -1.0)
    module = lfm(3, p=0.5)
    first, second = module(x), module(x)
    module.reseed(3)
    assert not torch.equal(first, second)
    assert torch.equal(first, module(x))


def test_torch_manual_seed_governs_it_until_it_is_seeded() -> None:
    x, module = torch.full((8, 64, 16, 16), -1.0), LocalFeatureMasking(p=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = module(x)
        torch.manual_seed(1)
        assert torch.equal(first, module(x))
        module.reseed(1)
        state = torch.get_rng_state()
        module(x)
        assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("backend", "place"), [("eager", "box"), ("aot_eager", "box"), ("aot_eager", "cells")]
)
def test_compiled_masking_equals_the_eager_one(backend: str, place: str) -> None:
    torch.compiler.reset()
    module = lfm(2, p=0.5, num_channels=4, place=place)
    compiled = torch.compile(module, backend=backend)
    x = torch.randn(6, 8, 16, 8, requires_grad=True)
    for step in range(4):
        module.reseed(step)
        out = compiled(x)
        (grad,) = torch.autograd.grad(out.square().sum(), x)
        module.reseed(step)
        expected = module(x)
        assert torch.equal(out, expected)
        assert torch.equal(grad, torch.autograd.grad(expected.square().sum(), x)[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("fill", get_args(Fill))
@pytest.mark.parametrize("place", ["box", "cells"])
def test_cuda_masks_what_the_cpu_masks_without_waiting(fill: str, place: str) -> None:
    x = torch.randn(16, 64, 32, 16)
    expected = lfm(5, p=0.5, fill=fill, place=place)(x)
    on_cuda, module = x.cuda().requires_grad_(), lfm(5, p=0.5, fill=fill, place=place)
    upstream = torch.ones_like(on_cuda)
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = module(on_cuda)
        out.backward(upstream)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-5, atol=1e-6)


def test_too_many_channels_are_refused_with_both_numbers() -> None:
    with pytest.raises(InputError, match=r"num_channels is 32 .* 16 channels; set .* 16 or less"):
        lfm()(torch.randn(2, 16, 8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"p": 1.5}, "p must be a probability"),
        ({"p": math.nan}, "p must be a probability"),
        ({"num_channels": 0}, "num_channels must be a whole number of at least 1, got 0"),
        ({"area": (0.4, 0.02)}, "area must be"),
        ({"area": (0.1, 1.1)}, "area must be .* <= 1"),
        ({"area": (0.1,)}, "area must be"),
        ({"aspect": (0.0, 1.0)}, "aspect must be"),
        ({"fill": "unifrom"}, "did you mean 'uniform'"),
        ({"place": "cell"}, "did you mean 'cells'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lfm(**settings)
