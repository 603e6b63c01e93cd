"""What every component of a table keeps; a file dropped into a package is tested at once."""

import inspect
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reid.config.defaults import TABLES
from reid.config.imports import load_parts, resolved
from reid.data.augmentation import AUGMENTATIONS, Augmentation
from reid.data.datasets import DATASETS
from reid.data.samplers import SAMPLERS, PlanSampler
from reid.losses import LOSSES
from reid.modeling import BACKBONES, HEADS, POOLINGS, PROVIDERS, REGULARIZERS
from reid.robustness.objectives import OBJECTIVES
from reid.utils.errors import InputError
from reid.utils.registry import Registry
from reid.utils.settings import Setting

# REID_IMPORTS=parts/a.py,parts/b.py has parts from outside tested as well.
ENTRIES = [entry for entry in os.environ.get("REID_IMPORTS", "").split(",") if entry]
load_parts(tuple(resolved(entry, Path.cwd()) for entry in ENTRIES), "REID_IMPORTS")

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
COMPONENTS = [
    pytest.param(table, name, id=f"{table.kind}-{name}")
    for table in TABLES
    for name in table.names()
]


@pytest.mark.parametrize(("table", "name"), COMPONENTS)
def test_a_default_is_a_value_of_its_setting(table: Registry, name: str) -> None:
    for argument, setting in table.settings(name).items():
        assert setting.fit(setting.default) == setting.default, argument


def least_and_most(setting: Setting) -> list[Any]:
    """The numbers at the ends of a setting's range, or next to an end that is left out."""
    r, whole = setting.allowed, setting.item is int
    inside = 1 if whole else 1e-3 * min(1.0, r.most - r.least)
    ends = [r.least + inside * r.above, r.most - inside * r.below]
    numbers = [int(end) if whole else end for end in ends if math.isfinite(end)]
    return [(number,) * len(setting.default) if setting.many else number for number in numbers]


FACTS = {"num_classes": 3, "feat_dim": 4, "size": (64, 32), "eps": 8 / 255}
# Networks take seconds to build, and data sets have to be drawn.
SLOW = (BACKBONES, PROVIDERS, DATASETS, SAMPLERS)
QUICK = [c for c in COMPONENTS if c.values[0] not in SLOW]


@pytest.mark.parametrize(("table", "name"), QUICK)
def test_a_part_accepts_what_its_range_allows(table: Registry, name: str) -> None:
    wanted = inspect.signature(table[name]).parameters
    facts = {fact: value for fact, value in FACTS.items() if fact in wanted}
    for argument, setting in table.settings(name).items():
        for value in least_and_most(setting) if setting.item in (int, float) else ():
            assert setting.fit(value) == value
            table[name](**{**facts, argument: value})


@pytest.mark.parametrize(("table", "name"), COMPONENTS)
def test_arguments_are_facts_or_settings(table: Registry, name: str) -> None:
    parameters = inspect.signature(table[name]).parameters.values()
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    assert named <= {*table.facts, *table.settings(name)}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_an_unknown_name_lists_the_known_ones(table: Any) -> None:
    with pytest.raises(InputError, match=table.names()[0]):
        table["nothing of the kind"]


def build_regularizer(name: str, seed: int = 0) -> Any:
    """A regularizer with its own defaults, in training mode."""
    module = REGULARIZERS[name]()
    module.reseed(seed)  # type: ignore[operator]
    return module


def feature_map(dtype: torch.dtype = torch.float32) -> Tensor:
    return (-1 - torch.rand(8, 64, 16, 12)).to(dtype)


def until_changed(module: nn.Module, x: Tensor) -> Tensor:
    """Output of the first pass that changes x; a coin per batch may leave some as they are."""
    for _ in range(200):
        out: Tensor = module(x)
        if not torch.equal(out, x):
            return out
    pytest.fail("200 passes changed nothing")


regularizers = pytest.mark.parametrize("name", REGULARIZERS.names())


@regularizers
def test_regularizer_is_the_identity_in_evaluation(name: str) -> None:
    x = feature_map()
    assert torch.equal(build_regularizer(name).eval()(x), x)


@regularizers
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", [torch.contiguous_format, torch.channels_last])
def test_regularizer_keeps_shape_type_and_memory_format(
    name: str, dtype: torch.dtype, fmt: torch.memory_format
) -> None:
    x = feature_map(dtype).contiguous(memory_format=fmt)
    out = until_changed(build_regularizer(name), x)
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    assert out.is_contiguous(memory_format=fmt)


@regularizers
def test_regularizer_does_not_write_into_its_input_or_into_the_gradient(name: str) -> None:
    x = feature_map().requires_grad_()
    kept = x.detach().clone()
    out = until_changed(build_regularizer(name), x)
    upstream = torch.randn(out.shape)
    kept_upstream = upstream.clone()
    out.backward(upstream)
    assert torch.equal(x.detach(), kept)
    assert torch.equal(upstream, kept_upstream)


@regularizers
def test_regularizer_repeats_itself_under_the_same_seed_and_not_under_another(name: str) -> None:
    x = feature_map()

    def passes(seed: int) -> Tensor:
        module = build_regularizer(name, seed)
        return torch.stack([module(x) for _ in range(40)])

    assert torch.equal(passes(1), passes(1))
    assert not torch.equal(passes(1), passes(2))


@regularizers
def test_regularizer_once_seeded_leaves_torchs_generator_alone(name: str) -> None:
    module, state = build_regularizer(name), torch.get_rng_state()
    x = torch.ones(8, 64, 16, 12)
    for _ in range(20):
        module(x)
    assert torch.equal(torch.get_rng_state(), state)


@regularizers
def test_regularizer_adds_no_key_to_the_state_dict(name: str) -> None:
    assert not REGULARIZERS[name]().state_dict()


@regularizers
def test_regularizer_says_whether_it_needs_a_feature_map(name: str) -> None:
    assert isinstance(REGULARIZERS[name]().spatial, bool)


@regularizers
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_regularizer_refuses_what_is_no_probability(name: str, p: float) -> None:
    if "p" not in inspect.signature(REGULARIZERS[name]).parameters:
        pytest.skip("has no p")
    with pytest.raises(InputError, match="p must be a probability"):
        REGULARIZERS[name](p=p)


@regularizers
def test_regularizer_runs_compiled(name: str) -> None:
    torch.compiler.reset()
    module, x = build_regularizer(name), feature_map()
    compiled = torch.compile(module, backend="eager")
    for seed in range(6):
        module.reseed(seed)
        expected = module(x)
        module.reseed(seed)
        assert torch.equal(compiled(x), expected)


losses = pytest.mark.parametrize("name", LOSSES.names())


def facts_for(component: Any, **known: int) -> dict[str, int]:
    wanted = inspect.signature(component).parameters
    return {key: value for key, value in known.items() if key in wanted}


@losses
def test_loss_names_what_it_consumes(name: str) -> None:
    loss = LOSSES[name](**facts_for(LOSSES[name], num_classes=4, feat_dim=6))
    assert loss.consumes in ("feat", "feat_bn", "logits")


@losses
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("autocast", [False, True])
def test_loss_is_a_finite_fp32_scalar_with_gradient_to_its_input(
    name: str, dtype: torch.dtype, autocast: bool
) -> None:
    loss = LOSSES[name](**facts_for(LOSSES[name], num_classes=4, feat_dim=4))
    x = torch.randn(8, 4).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = loss(x, torch.arange(4).repeat(2))
    value.backward()
    assert (value.shape, value.dtype) == ((), torch.float32)
    assert value.isfinite()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.any()


@losses
def test_loss_stays_finite_on_large_inputs(name: str) -> None:
    loss = LOSSES[name](**facts_for(LOSSES[name], num_classes=4, feat_dim=4))
    x = (1e4 * torch.randn(8, 4)).requires_grad_()
    value = loss(x, torch.arange(4).repeat(2))
    value.backward()
    assert value.isfinite()
    assert x.grad is not None
    assert x.grad.isfinite().all()


backbones = pytest.mark.parametrize("name", BACKBONES.names())


class Tap(nn.Module):
    """Notes that it was called, and on what."""

    def __init__(self, stage: str, calls: list[tuple[str, tuple[int, ...]]]) -> None:
        super().__init__()
        self.stage, self.calls = stage, calls

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((self.stage, tuple(x.shape)))
        return x


@backbones
def test_backbone_calls_its_taps_once_each_in_the_order_of_its_stages(name: str) -> None:
    calls: list[tuple[str, tuple[int, ...]]] = []
    with torch.device("meta"):
        backbone = BACKBONES[name]()
        after = {stage: Tap(stage, calls) for stage in [*backbone.stages, "pool"]}
        out = backbone(torch.empty(2, 3, 64, 32), after)
    assert tuple(stage for stage, _ in calls) == backbone.stages
    assert all(len(shape) == 4 and shape[0] == 2 for _, shape in calls)
    assert calls[-1][1] == tuple(out.shape)


@backbones
def test_backbone_returns_feat_dim_channels(name: str) -> None:
    with torch.device("meta"):
        backbone = BACKBONES[name]()
        out = backbone(torch.empty(2, 3, 64, 32), {})
    assert out.shape[:2] == (2, backbone.feat_dim)


heads = pytest.mark.parametrize("name", HEADS.names())


@heads
@pytest.mark.parametrize("training", [True, False])
def test_head_returns_features_and_logits(name: str, training: bool) -> None:
    head = HEADS[name](feat_dim=6, num_classes=5).train(training)
    out = head(torch.randn(4, 6))
    assert head.num_classes == 5
    length = getattr(head, "feat_dim", 6)
    shapes = [tuple(t.shape) for t in (out.feat, out.feat_bn, out.logits)]
    assert shapes == [(4, length), (4, length), (4, 5)]
    assert all(t.isfinite().all() for t in out)


poolings = pytest.mark.parametrize("name", POOLINGS.names())


@poolings
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(1, 1), (4, 2)])
def test_pooling_gives_one_finite_float32_vector(
    name: str, dtype: torch.dtype, size: tuple[int, int]
) -> None:
    out = POOLINGS[name]()(torch.randn(3, 6, *size).to(dtype))
    assert (out.shape, out.dtype) == ((3, 6, 1, 1), torch.float32)
    assert out.isfinite().all()


@poolings
def test_pooling_has_a_gradient_to_its_input_and_to_what_it_learns(name: str) -> None:
    pooling, x = POOLINGS[name](), torch.rand(3, 6, 4, 2, requires_grad=True)
    pooling(x).square().sum().backward()
    for tensor in (x, *pooling.parameters()):
        assert tensor.grad is not None and tensor.grad.isfinite().all() and tensor.grad.any()


def build_augmentation(name: str, **settings: float) -> Augmentation:
    facts = facts_for(AUGMENTATIONS[name], size=(12, 8))
    built: Augmentation = AUGMENTATIONS[name](**facts, **settings)  # type: ignore[arg-type]
    return built


def drawn_rows(augmentation: Augmentation, count: int = 60) -> list[tuple[int, ...] | None]:
    return [augmentation.draw(np.random.default_rng(seed)) for seed in range(count)]


def often(name: str) -> Augmentation:
    """The augmentation, done to half of the images where that is a setting."""
    settings = AUGMENTATIONS.settings(name)
    return build_augmentation(name, **({"prob": 0.5} if "prob" in settings else {}))


augmentations = pytest.mark.parametrize("name", AUGMENTATIONS.names())


@augmentations
def test_augmentation_draws_whole_numbers_from_the_generator_alone(name: str) -> None:
    augmentation = often(name)
    rows = [row for row in drawn_rows(augmentation) if row is not None]
    assert rows and all(len(row) == augmentation.width for row in rows)
    assert all(type(number) is int for row in rows for number in row)
    assert drawn_rows(augmentation) == drawn_rows(often(name))
    assert len(augmentation.neutral) == augmentation.width


@augmentations
def test_augmentation_makes_the_same_pixels_on_every_path(name: str) -> None:
    augmentation, rng = often(name), np.random.default_rng(7)
    images = rng.integers(0, 256, (60, 12, 8, 3), dtype=np.uint8)
    before = images.copy()
    drawn = drawn_rows(augmentation)
    rows = np.array([row or augmentation.neutral for row in drawn], np.int32)
    expected = augmentation.apply(images, rows)
    assert (expected.dtype, expected.shape) == (np.uint8, images.shape)
    tensors = augmentation.apply(torch.from_numpy(images), torch.from_numpy(rows))
    assert np.array_equal(tensors.numpy(), expected)
    for image, row, whole in zip(images, drawn, expected, strict=True):
        if row is None:
            assert np.array_equal(whole, image)
            continue
        out = image.copy()
        augmentation.on_cpu(image if augmentation.moves else out, row, out)
        assert np.array_equal(out, whole)
    assert np.array_equal(images, before)


PEOPLE, EACH = 12, 5
LABELS = [index // EACH for index in range(PEOPLE * EACH)]


def build_sampler(name: str, rank: int = 0, world_size: int = 1, seed: int = 3) -> PlanSampler:
    """Batches of 8 images for all processes together: 4 identities with 2 images."""
    facts = {
        "labels": LABELS,
        "camids": [index % 3 for index in range(len(LABELS))],
        "num_images": len(LABELS),
        "batch_size": 8 // world_size,
        "num_ids": 4 // world_size,
        "num_instances": 2,
        "seed": seed,
        "rank": rank,
        "world_size": world_size,
    }
    wanted = inspect.signature(SAMPLERS[name]).parameters
    built: PlanSampler = SAMPLERS[name](**{k: v for k, v in facts.items() if k in wanted})
    return built


def epochs_of(sampler: PlanSampler) -> list[list[list[tuple[int, int]]]]:
    found = []
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        found.append(list(sampler))
    return found


samplers = pytest.mark.parametrize("name", SAMPLERS.names())


@samplers
def test_sampler_plans_an_epoch_by_seed_and_epoch_alone(name: str) -> None:
    first, second = epochs_of(build_sampler(name))
    assert [first, second] == epochs_of(build_sampler(name))
    assert first != second and first != epochs_of(build_sampler(name, seed=4))[0]
    assert len(first) == len(build_sampler(name)) > 0
    for batch in (*first, *second):
        assert len(batch) == 8
        assert all(0 <= index < len(LABELS) for index, _ in batch)


@samplers
def test_sampler_deals_one_plan_to_all_processes(name: str) -> None:
    whole = epochs_of(build_sampler(name))
    parts = [epochs_of(build_sampler(name, rank, 2)) for rank in (0, 1)]
    for epoch, (left, right) in zip(whole, zip(*parts, strict=True), strict=True):
        assert epoch == [a + b for a, b in zip(left, right, strict=True)]


@samplers
def test_sampler_serves_pairs_if_it_says_so(name: str) -> None:
    sampler = build_sampler(name)
    if not sampler.serves_pairs:
        pytest.skip("does not say so")
    for batch in sampler:
        counts = np.bincount([LABELS[index] for index, _ in batch])
        assert (counts[counts > 0] >= 2).all()


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_objective_says_what_an_attack_has_to_know(name: str) -> None:
    objective = OBJECTIVES[name]()
    for attribute in ("flat_at_clean", "targeted", "redrawn"):
        assert isinstance(getattr(objective, attribute), bool)
