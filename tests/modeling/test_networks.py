"""Networks of timm and torchvision as backbones: twenty of different families, and their stages."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import SwinTransformer, VisionTransformer

from reid.engine.parallel import synchronized
from reid.modeling import BACKBONES, HEADS, PROVIDERS, LocalFeatureMasking, ReIDModel
from reid.modeling.backbones.maps import Layout, find_layout, grid_of
from reid.modeling.backbones.pretrained import load_pretrained
from reid.modeling.backbones.torchvision import resized
from reid.utils.errors import ArgumentError, InputError

SIZE = (64, 32)
# One of each family, small, with a stage in the middle.
FAMILIES = {
    "timm:resnet18": "layer2",
    "timm:regnetx_002": "s2",
    "timm:mobilenetv3_small_050": "blocks.3",
    "timm:efficientnet_lite0": "blocks.4",
    "timm:ghostnet_050": "blocks.5",
    "timm:convnext_atto": "stages.1",
    "timm:repvgg_a0": "stages.1",
    "timm:mobilevit_xxs": "stages.2.1",
    "timm:vit_tiny_patch16_224": "blocks.3",
    "timm:deit_tiny_distilled_patch16_224": "blocks.3.mlp",
    "timm:vit_small_patch14_dinov2": "blocks.5",
    "timm:vit_small_patch16_dinov3": "blocks.5",
    "timm:swin_tiny_patch4_window7_224": "layers.0.blocks.1.mlp",
    "timm:mixer_s32_224": "blocks.2",
    "timm:xcit_nano_12_p16_224": "blocks.2",
    "timm:pvt_v2_b0": "stages.1",
    "torchvision:mobilenet_v2": "features.5",
    "torchvision:shufflenet_v2_x0_5": "stage3",
    "torchvision:squeezenet1_1": "features.6",
    "torchvision:swin_t": "features.1.0.mlp",
}
families = pytest.mark.parametrize("name", FAMILIES)


# Torchvision's smallest ViT and Swin take seconds to build; what is tested depends on no width.
SMALL: dict[str, Callable[[], nn.Module]] = {
    "vit_b_32": lambda: VisionTransformer(64, 32, 2, 2, 16, 32, num_classes=5),
    "swin_t": lambda: SwinTransformer([4, 4], 16, [2, 2], [1, 2], [7, 7], num_classes=5),
}


def build(name: str, size: tuple[int, int] = SIZE, **settings: Any) -> Any:
    """A network with seeded weights."""
    provider, _, model = name.partition(":")
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        if model in SMALL:
            patch.setattr(torchvision.models, "get_model", lambda *args, **more: SMALL[model]())
        return PROVIDERS[provider](model=model, size=size, **settings)


def size_for(name: str) -> tuple[int, int]:
    return (56, 28) if "patch14" in name else SIZE


class Tap(nn.Module):
    """Notes the maps that it is called on."""

    def __init__(self, stage: str, calls: list[tuple[str, tuple[int, ...]]]) -> None:
        super().__init__()
        self.stage, self.calls = stage, calls

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((self.stage, tuple(x.shape)))
        return x


class Overwrite(nn.Module):
    """Writes a number into one cell of one channel of the first sample."""

    def forward(self, x: Tensor) -> Tensor:
        out = x.clone()
        out[0, 1, -1, 0] = 7.0
        return out


@families
def test_a_network_keeps_the_contract_and_trains_a_step_with_lfm(name: str) -> None:
    size = size_for(name)
    backbone, middle = build(name, size), FAMILIES[name]
    calls: list[tuple[str, tuple[int, ...]]] = []
    stages = dict.fromkeys([*backbone.stages, middle, "pool"])
    images = torch.rand(4, 3, *size)
    backbone.eval()
    with torch.no_grad():
        out = backbone(images, {stage: Tap(stage, calls) for stage in stages})
        plain = backbone(images, {})
    assert torch.equal(out, plain)
    assert out.shape[:2] == (4, backbone.feat_dim) and out.dtype == torch.float32
    assert [stage for stage, _ in calls] and backbone.stages[0] == "conv1" == calls[0][0]
    assert sorted(stage for stage, _ in calls) == sorted(set(stages) - {"pool"})
    for _, (batch, _, height, width) in calls:
        assert batch == 4 and abs(size[0] / height - size[1] / width) * min(height, width) <= 16

    regularizers = {
        stage: LocalFeatureMasking(p=1.0, num_channels=4) for stage in ("conv1", middle)
    }
    model = ReIDModel(
        backbone, HEADS["bnneck"](backbone.feat_dim, 3), regularizers, (0.5,) * 3, (0.5,) * 3
    )
    model.train().reseed(1)
    trained = [p for p in model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in trained]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    loss = F.cross_entropy(model(images).logits, torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimizer.step()
    assert loss.isfinite() and all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert any(not torch.equal(p, old) for p, old in zip(trained, before, strict=True))


@pytest.mark.parametrize("provider", ["timm", "torchvision"])
def test_resnet50_has_the_same_keys_and_the_same_features_to_the_bit(provider: str) -> None:
    theirs = build(f"{provider}:resnet50").eval()
    ours = BACKBONES["resnet50"](last_stride=2).eval()
    assert list(theirs.net.state_dict()) == list(ours.state_dict())
    ours.load_state_dict(theirs.net.state_dict())
    images = torch.randn(2, 3, *SIZE)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        assert torch.equal(ours(images, {}), theirs(images, {}))
    lfm = LocalFeatureMasking(p=1.0)
    found = []
    for backbone in (ours, theirs):
        lfm.reseed(3)
        found.append(backbone.eval()(images, {"conv1": lfm, "layer2": lfm}))
    assert torch.equal(*found)
    assert not torch.equal(found[0], ours(images, {}))


# Families whose forward pass differs; each has a classifier that works on its last map.
OWN_HEADS = {
    "resnet18": lambda net, x: net.fc(net.avgpool(x).flatten(1)),
    "densenet121": lambda net, x: net.classifier(x.mean((2, 3))),
    "mobilenet_v3_small": lambda net, x: net.classifier(net.avgpool(x).flatten(1)),
    "efficientnet_b0": lambda net, x: net.classifier(net.avgpool(x).flatten(1)),
    "regnet_x_400mf": lambda net, x: net.fc(net.avgpool(x).flatten(1)),
    "shufflenet_v2_x0_5": lambda net, x: net.fc(x.mean((2, 3))),
    "mnasnet0_5": lambda net, x: net.classifier(x.mean((2, 3))),
    "convnext_tiny": lambda net, x: net.classifier(net.avgpool(x)),
    "squeezenet1_1": lambda net, x: net.classifier(x).flatten(1),
    "swin_t": lambda net, x: net.head(x.mean((2, 3))),
    "googlenet": lambda net, x: net.fc(x.mean((2, 3))),
}


@pytest.mark.parametrize("model", OWN_HEADS)
def test_torchvisions_own_head_on_our_map_gives_its_own_logits(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"aux_logits": False, "init_weights": False} if model == "googlenet" else {}
    net = SMALL[model]() if model in SMALL else torchvision.models.get_model(model, **settings)
    kept = copy.deepcopy(net).eval()
    monkeypatch.setattr(torchvision.models, "get_model", lambda *args, **more: net)
    backbone = PROVIDERS["torchvision"](model=model, size=SIZE).eval()
    images = torch.randn(2, 3, *SIZE)
    logits = OWN_HEADS[model](kept, backbone(images, {}))
    torch.testing.assert_close(logits, kept(images), atol=1e-5, rtol=1e-4)


def test_a_vit_of_torchvision_gives_its_own_class_token() -> None:
    net = SMALL["vit_b_32"]().eval()
    backbone = build("torchvision:vit_b_32", (64, 64), token="cls").eval()
    kept = {k: v for k, v in net.state_dict().items() if not k.startswith("heads")}
    backbone.net.load_state_dict(kept)
    images = torch.randn(2, 3, 64, 64)
    assert backbone(images, {}).shape == (2, 16, 1, 1)
    torch.testing.assert_close(net.heads(backbone(images, {}).flatten(1)), net(images))


# Layouts.


def test_the_number_of_cells_tells_rows_and_columns() -> None:
    assert grid_of(128, (256, 128)) == (16, 8)
    assert grid_of(129, (256, 128)) is None  # 43 x 3: a class token is among them
    assert grid_of(196, (224, 224)) == (14, 14)
    assert grid_of(2, (64, 32)) == (2, 1)
    assert grid_of(18 * 9, (252, 126)) == (18, 9)
    assert grid_of(33 * 16, (261, 128)) == (33, 16)  # a row is rounded up


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((2, 64, 16, 8), (64, 32), Layout("nchw")),
        ((2, 16, 8, 96), (64, 32), Layout("nhwc")),
        ((2, 96, 96, 96), (384, 384), Layout("nchw")),  # it can be both
        ((2, 129, 192), (256, 128), Layout("tokens", 1)),
        ((2, 128, 192), (256, 128), Layout("tokens", 0)),  # no class token yet
        ((2, 127, 192), (256, 128), None),
        ((2, 130, 192), (256, 128), None),  # two tokens, and it says one
        ((2, 192), (64, 32), None),
        ((2, 64, 8, 16), (64, 32), None),
        ((2, 96, 125, 61), (256, 128), Layout("nchw")),  # 7 x 7, stride 2, without padding
    ],
)
def test_a_shape_tells_the_layout(
    shape: tuple[int, ...], size: tuple[int, int], expected: Layout | None
) -> None:
    assert find_layout(shape, size, prefix=1) == expected


def test_a_cell_of_the_map_is_its_token_and_tokens_in_front_stay() -> None:
    tokens = torch.arange(2 * 10 * 3.0).view(2, 10, 3)  # two in front, then 4 rows of 2
    layout = Layout("tokens", 2)
    shown = layout.as_map(tokens, (64, 32))
    assert shown.shape == (2, 3, 4, 2)
    for row in range(4):
        for column in range(2):
            assert torch.equal(shown[:, :, row, column], tokens[:, 2 + 2 * row + column])
    changed = layout.through(Overwrite(), tokens, (64, 32))
    expected = tokens.clone()
    expected[0, 2 + 2 * 3, 1] = 7  # row 3, column 0, channel 1
    assert torch.equal(changed, expected)
    last = torch.randn(2, 4, 2, 3)
    changed = Layout("nhwc").through(Overwrite(), last, (64, 32))
    expected = last.clone()
    expected[0, 3, 0, 1] = 7
    assert torch.equal(changed, expected)
    assert layout.through(nn.Identity(), tokens, (64, 32)) is tokens


# Tokens, sizes, stages.


def test_the_class_token_is_timms_and_the_map_its_patch_tokens() -> None:
    name = "timm:vit_tiny_patch16_224"
    patch, cls = build(name).eval(), build(name, token="cls").eval()
    images = torch.randn(2, 3, *SIZE)
    tokens = patch.net.forward_features(images)
    assert tokens.shape == (2, 1 + 4 * 2, 192)
    assert torch.equal(cls(images, {}).flatten(1), tokens[:, 0])
    assert torch.equal(patch(images, {}).flatten(2).transpose(1, 2), tokens[:, 1:])


def test_a_cnn_has_no_class_token() -> None:
    with pytest.raises(ArgumentError, match="token is cls, but timm:resnet18 has no class token"):
        build("timm:resnet18", token="cls")


def test_images_that_a_vit_cannot_cut_are_refused_with_the_nearest_sizes() -> None:
    text = (
        r"size is \(64, 32\), but .* patches of 14 x 14 pixels; set it to \(70, 42\) or \(56, 28\)"
    )
    with pytest.raises(ArgumentError, match=text):
        build("timm:vit_small_patch14_dinov2")
    with pytest.raises(ArgumentError, match=r"patches of 32 x 32 .* \(96, 32\) or \(64, 32\)"):
        build("torchvision:vit_b_32", (80, 32))
    with pytest.raises(ArgumentError, match=r"size is \(64, 32\), and timm:nest_tiny cannot be"):
        build("timm:nest_tiny")


def test_a_vit_takes_another_size_later_or_says_that_it_does_not() -> None:
    backbone = build("timm:vit_tiny_patch16_224").eval()
    backbone.check_size((96, 48))
    assert backbone(torch.zeros(1, 3, 96, 48), {}).shape == (1, 192, 6, 3)
    fixed = build("torchvision:vit_b_32")
    with pytest.raises(ArgumentError, match=r"size is \(96, 64\), and torchvision:vit_b_32 does"):
        fixed.check_size((96, 64))


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ("layers3", "has the unknown value 'layers3'; did you mean 'layer3'? Known: input, conv1,"),
        ("blocks.3", "has the unknown value 'blocks.3'. Known: input, conv1, act1, layer1,"),
        ("layer1.0.relu", "has the unknown value"),
        ("", "has the unknown value ''"),
        ("global_pool", "has 'global_pool', which is no stage: it is called 0 times a pass"),
    ],
)
def test_the_error_for_an_unknown_stage_lists_those_that_the_network_has(
    stage: str, says: str
) -> None:
    head = HEADS["linear"](512, 2)
    with pytest.raises(ArgumentError) as caught:
        ReIDModel(build("timm:resnet18"), head, {stage: nn.Identity()}, (0.5,) * 3, (0.5,) * 3)
    assert str(caught.value).startswith(f"regularizers {says}")
    assert "layer1, layer2, layer3, layer4, pool; the path of any module" in str(caught.value)


def test_attention_windows_are_no_stage() -> None:
    backbone = build("timm:swin_tiny_patch4_window7_224", (224, 112))
    with pytest.raises(ArgumentError, match="no stage: its output is no feature map"):
        backbone.check_stage("layers.0.blocks.0.attn")
    backbone.check_stage("layers.0.blocks.0")


# Names.


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("timm:vit_tiny_patch16_24", "did you mean 'timm:vit_tiny_patch16_224'? timm "),
        ("timm:vit_small_patch14_dinov2.lvd142", "did you mean 'lvd142m'? Known tags of vit_sm"),
        ("timm:", "unknown value 'timm:'. timm "),
        ("torchvision:resnet51", "did you mean 'torchvision:resnet50'? Known of torchvision: alex"),
    ],
)
def test_an_unknown_network_is_named_with_the_nearest(name: str, says: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        build(name)
    assert caught.value.argument == "model" and says in str(caught.value)


def test_without_timm_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = "importlib.util.find_spec"
    monkeypatch.setattr(found, lambda name: None)
    with pytest.raises(ArgumentError) as caught:
        build("timm:resnet18")
    assert str(caught.value) == (
        "model is timm:resnet18, but the package timm is not installed:"
        ' pip install "reid-lfm[timm]"'
    )


# Weights.


def save(state: dict[str, Tensor], path: Path) -> str:
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_file_of_timm_loads_without_its_classifier_and_with_positions_made_to_fit(
    tmp_path: Path, ending: str
) -> None:
    import timm
    from timm.layers import resample_abs_pos_embed

    given = timm.create_model("vit_tiny_patch16_224").state_dict()
    path = save(given, tmp_path / f"w.{ending}")
    backbone = build("timm:vit_tiny_patch16_224")
    load_pretrained(backbone, "vit_tiny_patch16_224", "path", path)
    found = backbone.net.state_dict()
    assert set(given) - set(found) == {"head.weight", "head.bias"}
    positions = resample_abs_pos_embed(given["pos_embed"], (4, 2), num_prefix_tokens=1)
    assert torch.equal(found.pop("pos_embed"), positions)
    assert all(torch.equal(value, given[key]) for key, value in found.items())


def test_a_norm_behind_the_mean_becomes_the_norm_of_the_tokens(tmp_path: Path) -> None:
    import timm

    given = timm.create_model("vit_tiny_patch16_224", global_pool="avg", img_size=SIZE).state_dict()
    given["fc_norm.weight"].fill_(3)
    backbone = build("timm:vit_tiny_patch16_224")
    path = save(given, tmp_path / "w.pth")
    load_pretrained(backbone, "vit_tiny_patch16_224", "path", path)
    assert (backbone.net.norm.weight == 3).all()


def test_a_file_of_torchvision_loads_with_positions_made_to_fit(tmp_path: Path) -> None:
    given = SMALL["vit_b_32"]().state_dict()
    backbone = build("torchvision:vit_b_32", (96, 32))
    load_pretrained(backbone, "vit_b_32", "path", save(given, tmp_path / "w.pth"))
    found = backbone.net.encoder.pos_embedding.detach()
    assert torch.equal(found, resized(given["encoder.pos_embedding"], (3, 1)))
    assert torch.equal(found[:, :1], given["encoder.pos_embedding"][:, :1])
    given = torchvision.models.mobilenet_v2().state_dict()
    backbone = build("torchvision:mobilenet_v2")
    load_pretrained(backbone, "mobilenet_v2", "path", save(given, tmp_path / "m.pth"))
    assert all(torch.equal(v, given[k]) for k, v in backbone.net.state_dict().items())


@pytest.mark.parametrize("names", ["net.", ""])
def test_weights_of_our_own_checkpoints_start_a_network(tmp_path: Path, names: str) -> None:
    """Those of a network of a provider, and those of our ResNet of the same kind."""
    given = BACKBONES["resnet18"]().state_dict()
    file = {f"backbone.{names}{key}": value for key, value in given.items()}
    file["head.classifier.weight"] = torch.zeros(3, 512)
    torch.save({"model": file}, tmp_path / "last.pth")
    backbone = build("timm:resnet18")
    load_pretrained(backbone, "resnet18", "path", str(tmp_path / "last.pth"))
    assert all(torch.equal(value, given[key]) for key, value in backbone.net.state_dict().items())


def test_positions_of_a_square_are_interpolated_as_torchvision_does() -> None:
    from torchvision.models.vision_transformer import interpolate_embeddings

    positions = torch.randn(1, 1 + 7 * 7, 16)
    state = {"encoder.pos_embedding": positions}
    theirs = interpolate_embeddings(320, 32, {**state})["encoder.pos_embedding"]
    torch.testing.assert_close(resized(positions, (10, 10)), theirs)


@pytest.mark.parametrize("damage", ["other", "nothing"])
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, damage: str) -> None:
    backbone = build("timm:vit_tiny_patch16_224")
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    state = {"conv.weight": torch.ones(1)}
    path = tmp_path / "w.safetensors"
    if damage == "other":
        save(state, path)
    else:
        path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"w\.safetensors"):
        load_pretrained(backbone, "vit_tiny_patch16_224", "path", str(path))
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())


def test_without_network_timms_weights_have_three_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    backbone = build("timm:resnet18")

    def fail(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no route\nto the host")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ArgumentError) as caught:
        load_pretrained(backbone, "resnet18", "imagenet", "")
    text = str(caught.value)
    assert text.startswith(
        "choice is imagenet, but the weights of timm:resnet18 cannot be fetched (ConnectionError:"
        " no route); three ways out: bring the files of timm/resnet18"
    )
    assert text.endswith("file with weights; or set it to none to train from scratch")


def test_timms_own_weights_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    backbone, create = build("timm:resnet18"), timm.create_model

    def fetch(model: str, pretrained: bool) -> nn.Module:
        assert pretrained
        donor: nn.Module = create(model, pretrained=False)
        nn.init.constant_(donor.conv1.weight, 0.25)  # type: ignore[union-attr, arg-type]
        return donor

    monkeypatch.setattr(timm, "create_model", fetch)
    load_pretrained(backbone, "resnet18", "imagenet", "")
    assert (backbone.net.conv1.weight == 0.25).all()


# What else works on any backbone.

THREE = {
    "timm:test_convnext": "stages.2",
    "timm:test_vit": "blocks.3",
    "torchvision:swin_t": "features.3",
}


def model_of(name: str, backbone: Any = None) -> ReIDModel:
    backbone = backbone or build(name)
    regularizers = {s: LocalFeatureMasking(1.0, 4) for s in ("conv1", THREE[name])}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = HEADS["bnneck"](backbone.feat_dim, 3)
    model = ReIDModel(backbone, head, regularizers, (0.5,) * 3, (0.5,) * 3)
    model.reseed(5)
    return model.to(memory_format=torch.channels_last)


def gradients(model: nn.Module, call: Callable[[Tensor], Any]) -> list[Tensor]:
    images = torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    call(images).logits.square().sum().backward()
    found = [p.grad for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return found


@pytest.mark.parametrize("name", THREE)
def test_a_copy_computes_the_same_and_is_masked_by_its_own_regularizers(name: str) -> None:
    model = model_of(name).train()
    first = gradients(model, model)
    other = copy.deepcopy(model)
    for m in (model, other):
        m.reseed(5)
    assert all(map(torch.equal, gradients(other, other), gradients(model, model)))
    assert len(first) > 10
    images = torch.rand(2, 3, *SIZE)
    calls: list[Any] = []
    copied: Any = copy.deepcopy(model.backbone).eval()
    copied(images, {"conv1": Tap("conv1", calls)})
    assert len(calls) == 1


@pytest.mark.parametrize("name", THREE)
def test_the_same_seed_gives_the_same_step_whatever_torchs_generator_says(name: str) -> None:
    """Stochastic depth of the network included."""
    settings = {"drop_path": 0.5} if name.startswith("timm") else {}
    model = model_of(name, build(name, **settings)).train()
    found = []
    for seed in (1, 1, 2):
        model.reseed(seed)
        torch.manual_seed(len(found))
        state = torch.get_rng_state()
        found.append(gradients(model, model))
        assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, found[0], found[1]))
    assert not all(map(torch.equal, found[0], found[2]))


# torch 2.14's own compiler asks a tensor in the middle of a graph for its gradient.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_it_computes_the_same() -> None:
    torch.compiler.reset()
    model = model_of("timm:test_vit").train()
    expected = gradients(model, model)
    model.reseed(5)
    compiled = torch.compile(model, backend="eager")
    found = gradients(model, compiled)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_module_that_was_replaced_is_still_a_stage() -> None:
    """SyncBatchNorm takes the place of batch normalization after the model was built."""
    backbone, calls = build("timm:resnet18").eval(), []  # type: ignore[var-annotated]
    tap = {"bn1": Tap("bn1", calls)}
    images = torch.rand(1, 3, *SIZE)
    backbone(images, tap)
    backbone.net.bn1 = nn.BatchNorm2d(64).eval()
    backbone(images, tap)
    assert [stage for stage, _ in calls] == ["bn1", "bn1"]


def test_synchronized_normalization_keeps_the_activations_of_timm() -> None:
    backbone = build("timm:test_efficientnet").eval()
    images = torch.randn(2, 3, *SIZE)
    before = backbone(images, {})
    synchronized(backbone)
    kinds = {type(module).__name__ for module in backbone.modules()}
    assert "SyncBatchNormAct" in kinds and "BatchNormAct2d" not in kinds
    layers = [m for m in backbone.modules() if type(m).__name__ == "SyncBatchNormAct"]
    assert any(not isinstance(layer.act, nn.Identity) for layer in layers)
    assert before.shape == (2, backbone.feat_dim, 2, 1)


def test_patches_of_a_vit_overlap_and_only_a_vit_has_some() -> None:
    vit = PROVIDERS["timm"]("test_vit", (64, 32), stride=12)
    out = vit.eval()(torch.rand(1, 3, 64, 32), {})  # (64 - 16) / 12 + 1 rows of patches
    assert out.shape == (1, vit.feat_dim, 5, 2)
    with pytest.raises(InputError, match="stride is set, but timm:resnet18 is no ViT"):
        PROVIDERS["timm"]("resnet18", (64, 32), stride=12)
