"""The network as a whole, with small inputs."""

import copy

import narrow
import pytest
import torch
from torch import Tensor, nn

from reid.modeling import BACKBONES, HEADS, REGULARIZERS, LocalFeatureMasking, ReIDModel
from reid.modeling.regularizers.dropout import Dropout
from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(
    regularizers: dict[str, nn.Module] | None = None,
    head: str = "bnneck",
    backbone: nn.Module | None = None,
) -> ReIDModel:
    """A resnet18, or another network, with five classes."""
    backbone = backbone or BACKBONES["resnet18"]()
    top = HEADS[head](feat_dim=backbone.feat_dim, num_classes=5)
    return ReIDModel(backbone, top, regularizers or {}, MEAN, STD)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 64, 32)


@pytest.mark.parametrize("training", [True, False])
def test_output_has_the_same_fields_and_shapes_in_both_modes(
    images: Tensor, training: bool
) -> None:
    model = build().train(training)
    out = model(images)
    assert [tuple(t.shape) for t in out] == [(4, 512), (4, 512), (4, 5)]
    assert out._fields == ("feat", "feat_bn", "logits")
    assert (model.feat_dim, model.num_classes) == (512, 5)


def test_feat_is_the_mean_of_the_last_map_of_normalized_images(images: Tensor) -> None:
    model = build().eval()
    normalized = images.clone()
    for c in range(3):
        normalized[:, c] = (images[:, c] - MEAN[c]) / STD[c]
    maps = model.backbone(normalized, {})
    torch.testing.assert_close(model(images).feat, maps.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_images_are_not_written_to(images: Tensor) -> None:
    kept = images.clone()
    build({"conv1": LocalFeatureMasking(p=1.0)})(images)
    assert torch.equal(images, kept)


def test_gradient_reaches_the_pixels(images: Tensor) -> None:
    images.requires_grad_()
    build().eval()(images).feat_bn.square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_bytes_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"^images must be floats in \[0, 1\], got torch\.uint8; use .*to_unit"
    ):
        build()(torch.zeros(2, 3, 64, 32, dtype=torch.uint8))


def test_state_dicts_with_and_without_regularizers_are_interchangeable(images: Tensor) -> None:
    plain = build().eval()
    chain = nn.Sequential(*(REGULARIZERS[name]() for name in REGULARIZERS.names()))
    masked = build({"conv1": chain}).eval()
    masked.load_state_dict(plain.state_dict(), strict=True)
    plain.load_state_dict(masked.state_dict(), strict=True)
    assert list(plain.state_dict()) == list(masked.state_dict())
    assert torch.equal(plain(images).feat_bn, masked(images).feat_bn)


def test_state_dict_holds_no_mean_and_std() -> None:
    assert {key.split(".")[0] for key in build().state_dict()} == {"backbone", "head"}


def test_the_regularizer_at_conv1_changes_training_only(images: Tensor) -> None:
    masked = build({"conv1": LocalFeatureMasking(p=1.0)})
    plain = copy.deepcopy(masked)
    plain.regularizers = nn.ModuleDict()
    assert not torch.equal(masked(images).feat, plain(images).feat)
    masked.load_state_dict(plain.state_dict())
    assert torch.equal(masked.eval()(images).feat, plain.eval()(images).feat)


class Shape(nn.Module):
    """Keeps the shape of what passes."""

    def forward(self, x: Tensor) -> Tensor:
        self.shape = tuple(x.shape)
        return torch.zeros_like(x)


def test_a_regularizer_at_pool_sees_the_pooled_feature(images: Tensor) -> None:
    at_pool = Shape()
    out = build({"pool": at_pool})(images)
    assert at_pool.shape == (4, 512, 1, 1)
    assert not out.feat.any()


def test_an_unknown_stage_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"^regularizers .* did you mean 'layer4'\? Known: input, conv1, .* pool$"
    ):
        build({"layer5": LocalFeatureMasking()})


def test_a_regularizer_at_input_sees_the_normalized_pixels(images: Tensor) -> None:
    at_input, plain = Shape(), build()
    model = build({"input": at_input})
    model.load_state_dict(plain.state_dict())
    assert torch.equal(
        model(images).feat, plain(torch.tensor(MEAN).view(3, 1, 1) + 0 * images).feat
    )
    assert at_input.shape == (4, 3, 64, 32)


@pytest.mark.parametrize("name", REGULARIZERS.names())
def test_any_regularizer_may_sit_at_input(images: Tensor, name: str) -> None:
    few = {"num_channels": 3} if "num_channels" in REGULARIZERS.settings(name) else {}
    model = build({"input": REGULARIZERS[name](**few)})
    kept = images.clone()
    assert model(images).feat.isfinite().all()
    assert torch.equal(images, kept)


def test_masking_more_channels_than_a_picture_has_is_refused(images: Tensor) -> None:
    with pytest.raises(InputError, match="num_channels is 32 but the feature map has 3 channels"):
        build({"input": LocalFeatureMasking(p=1.0)})(images)


@pytest.mark.parametrize(
    "name", [name for name in REGULARIZERS.names() if getattr(REGULARIZERS[name], "spatial", False)]
)
def test_rectangles_on_the_pooled_feature_are_refused(name: str) -> None:
    with pytest.raises(
        InputError, match=r"^regularizers must not have .* at stage 'pool': it needs a feature map"
    ):
        build({"pool": REGULARIZERS[name]()})


@pytest.mark.parametrize(("mean", "std"), [((0.5,), STD), (MEAN, (0.2, 0.2)), (MEAN, (1, 0, 1))])
def test_wrong_pixel_statistics_are_refused(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with pytest.raises(
        InputError, match=r"^pixel_(mean|std) must be one .*for each of R, G, B, got \("
    ):
        ReIDModel(BACKBONES["resnet18"](), HEADS["linear"](512, 5), {}, mean, std)


def test_reseed_gives_each_regularizer_its_own_seed_and_repeats_a_pass(images: Tensor) -> None:
    first, second = LocalFeatureMasking(p=0.5), LocalFeatureMasking(p=0.5)
    model = build({"conv1": first, "layer1": second})
    model.reseed(7)
    once = model(images).feat
    model.reseed(7)
    assert torch.equal(once, model(images).feat)
    model.reseed(7)
    for position, module in enumerate((first, second)):
        alone = LocalFeatureMasking(p=0.5)
        alone.reseed(derive_seed(7, position))
        drawn, expected = module.draw(9, 64, 8, 8), alone.draw(9, 64, 8, 8)
        assert all(map(torch.equal, drawn, expected))


def headed(name: str, **arguments: float) -> ReIDModel:
    head = HEADS[name](feat_dim=narrow.FEAT_DIM, num_classes=5, **arguments)
    masks = {"conv1": LocalFeatureMasking(p=0.5)}
    return ReIDModel(narrow.backbone(), head, masks, MEAN, STD)


@pytest.mark.parametrize("name", ["reduction", "bnneck"])
def test_the_length_of_the_features_is_that_of_the_head(images: Tensor, name: str) -> None:
    model = headed(name, embedding_dim=7)
    out = model(images)
    assert model.feat_dim == out.feat.shape[1] == out.feat_bn.shape[1] == 7


def test_a_head_that_states_no_length_keeps_that_of_the_pooled_feature() -> None:
    model = headed("linear")
    del model.head.feat_dim
    assert model.feat_dim == narrow.FEAT_DIM


def test_reseed_reaches_the_dropout_of_a_head_behind_the_regularizers(images: Tensor) -> None:
    model = headed("reduction")
    model.reseed(7)
    once, again = model(images).logits, model(images).logits
    assert not torch.equal(once, again)
    state = torch.get_rng_state()
    model.reseed(7)
    assert torch.equal(model(images).logits, once)
    assert torch.equal(torch.get_rng_state(), state)
    alone = Dropout()
    alone.reseed(derive_seed(7, 1))  # the regularizer at conv1 has the place 0
    model.reseed(7)
    x = torch.ones(3, 512)
    assert torch.equal(model.head.dropout(x), alone(x))  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_pooling_and_head_stay_in_fp32_under_autocast(images: Tensor, dtype: torch.dtype) -> None:
    model = build({"conv1": LocalFeatureMasking(p=1.0)})
    with torch.autocast("cpu", dtype=dtype):
        out = model(images)
    assert {t.dtype for t in out} == {torch.float32}
    assert all(t.isfinite().all() for t in out)
    # Rounded to 8 or 11 bits the pooled values would survive a second rounding unchanged.
    assert not torch.equal(out.feat, out.feat.to(dtype).float())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_cast_as_a_whole_runs_in_its_type(images: Tensor, dtype: torch.dtype) -> None:
    out = build().to(dtype).eval()(images.to(dtype))
    assert {t.dtype for t in out} == {dtype}


def test_channels_last_gives_the_same_features(images: Tensor) -> None:
    model = build({"conv1": LocalFeatureMasking(p=0.5)})
    model.reseed(0)
    expected = model(images).feat
    model.to(memory_format=torch.channels_last)
    model.reseed(0)
    out = model(images.contiguous(memory_format=torch.channels_last)).feat
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-4)


def test_a_copy_of_the_model_masks_alike(images: Tensor) -> None:
    model = build({"conv1": LocalFeatureMasking(p=0.5)})
    model.reseed(1)
    twin = copy.deepcopy(model)
    assert torch.equal(model(images).feat, twin(images).feat)


@pytest.mark.parametrize("fill", ["uniform", "mean"])
def test_masking_in_place_after_conv1_gives_the_bits_of_masking_a_copy(
    images: Tensor, fill: str
) -> None:
    found = []
    for in_place in (True, False):
        torch.manual_seed(0)
        masking = LocalFeatureMasking(p=0.9, fill=fill)
        model = build({"conv1": masking}, backbone=narrow.backbone()).train()  # conv1 is not narrow
        assert model.regularizers["conv1"].in_place is True
        model.regularizers["conv1"].in_place = in_place
        model.reseed(3)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(images)
        out.logits.square().sum().backward()
        found.append([out.feat, *(p.grad for p in model.parameters() if p.grad is not None)])
    assert all(map(torch.equal, *found))


def test_a_map_that_others_hold_is_masked_as_a_copy() -> None:
    model = build({"layer1": LocalFeatureMasking()})
    assert model.regularizers["layer1"].in_place is False
