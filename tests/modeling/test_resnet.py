"""torchvision's network, opened after every stage."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from reid.modeling import BACKBONES
from reid.modeling.backbones.non_local import NonLocal
from reid.modeling.backbones.pretrained import load_pretrained
from reid.utils.errors import InputError


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_maps_are_torchvisions_bit_for_bit(name: str) -> None:
    theirs = getattr(torchvision.models, name)(weights=None).eval()
    ours = BACKBONES[name](last_stride=2).eval()
    weights = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    ours.load_state_dict(weights, strict=True)
    theirs.avgpool, theirs.fc = nn.Identity(), nn.Identity()  # what is left is a flattened map
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(ours(images, {}).flatten(1), theirs(images))


@pytest.mark.parametrize("name", [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)])
def test_state_dict_keys_and_shapes_are_torchvisions_without_fc(name: str) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(weights=None)
        ours = BACKBONES[name]()
    expected = {k: v.shape for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    assert {k: v.shape for k, v in ours.state_dict().items()} == expected
    assert ours.feat_dim == theirs.fc.in_features


def test_random_weights_are_torchvisions() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torchvision.models.resnet18(weights=None).state_dict()
        torch.manual_seed(0)
        ours = BACKBONES["resnet18"]().state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize(("last_stride", "size"), [(1, (16, 8)), (2, (8, 4))])
def test_last_stride_sets_the_size_of_the_last_map(
    name: str, last_stride: int, size: tuple[int, int]
) -> None:
    with torch.device("meta"):
        backbone = BACKBONES[name](last_stride=last_stride)
        out = backbone(torch.empty(1, 3, 256, 128), {})
    assert out.shape == (1, backbone.feat_dim, *size)


def test_last_stride_other_than_1_and_2_is_refused() -> None:
    with pytest.raises(InputError, match="last_stride must be 1 or 2, got 3"):
        BACKBONES["resnet18"](last_stride=3)


class Recorder(nn.Module):
    """Keeps a copy of what passes."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.detach().clone()
        return x


def test_conv1_is_tapped_before_its_batch_norm() -> None:
    backbone, recorder = BACKBONES["resnet18"]().eval(), Recorder()
    images = torch.randn(1, 3, 64, 32)
    backbone(images, {"conv1": recorder})
    assert torch.equal(recorder.seen, backbone.conv1(images))  # type: ignore[operator]


def test_stem_is_tapped_behind_relu_and_pooling() -> None:
    backbone, recorder = BACKBONES["resnet18"]().eval(), Recorder()
    backbone(torch.randn(1, 3, 64, 32), {"stem": recorder})
    assert recorder.seen.shape == (1, 64, 16, 8)
    assert recorder.seen.min() >= 0


def test_a_non_local_block_adds_the_weighted_sum_over_all_places() -> None:
    block, x = NonLocal(4, inner=2).eval(), torch.randn(2, 4, 3, 2)
    with torch.no_grad():
        block.W[1].weight.fill_(2.0)  # type: ignore[union-attr]
        block.W[1].bias.fill_(0.5)  # type: ignore[union-attr]
        out = block(x)
        theta, phi, g = (layer(x) for layer in (block.theta, block.phi, block.g))
    places = [(h, w) for h in range(3) for w in range(2)]
    kernel, shift = block.W[0].weight[:, :, 0, 0], block.W[0].bias  # type: ignore[union-attr, index]
    for image in range(2):
        for i in places:
            total = torch.zeros(2)
            for j in places:
                agreement = torch.dot(
                    theta[(image, slice(None), *i)], phi[(image, slice(None), *j)]
                )
                total += agreement * g[(image, slice(None), *j)] / 6
            expected = x[(image, slice(None), *i)] + 0.5
            expected = expected + 2 * (kernel @ total + shift) / (1 + 1e-5) ** 0.5  # type: ignore[operator]
            torch.testing.assert_close(out[(image, slice(None), *i)], expected.detach())


@pytest.mark.parametrize(("name", "width"), [("resnet18", 128), ("resnet50_ibn_a", 512)])
def test_non_local_blocks_stand_behind_the_last_blocks_and_change_nothing_at_first(
    name: str, width: int
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = BACKBONES[name]().eval()
        torch.manual_seed(0)
        ours = BACKBONES[name](non_local=(0, 1, 2, 0), non_local_channels=0).eval()
    last = len(plain.layer3)  # type: ignore[arg-type]
    places = {key.split(".non_local")[0] for key in ours.state_dict() if ".non_local." in key}
    first = len(plain.layer2) - 1  # type: ignore[arg-type]
    assert places == {f"layer2.{first}", f"layer3.{last - 2}", f"layer3.{last - 1}"}
    assert ours.state_dict()[f"layer2.{first}.non_local.g.weight"].shape[:2] == (width // 2, width)
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(ours(images, {}), plain(images, {}))


def test_more_non_local_blocks_than_blocks_are_refused() -> None:
    with pytest.raises(InputError, match="non_local must be 0 to 2 in layer2, got 3"):
        BACKBONES["resnet18"](non_local=(0, 3, 0, 0))


def test_weights_of_a_plain_network_leave_non_local_blocks_as_drawn(tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(theirs, tmp_path / "plain.pth")
    ours = BACKBONES["resnet18"](non_local=(0, 2, 0, 0))
    drawn = {k: v.clone() for k, v in ours.state_dict().items() if "non_local" in k}
    load_pretrained(ours, "resnet18", "path", str(tmp_path / "plain.pth"))
    for key, value in ours.state_dict().items():
        assert torch.equal(value, drawn.get(key, theirs.get(key)))  # type: ignore[arg-type]
    torch.save(ours.state_dict(), tmp_path / "own.pth")  # and what has them is loaded whole
    other = BACKBONES["resnet18"](non_local=(0, 2, 0, 0))
    load_pretrained(other, "resnet18", "path", str(tmp_path / "own.pth"))
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in ours.state_dict().items())


def test_a_stem_without_relu_keeps_negative_numbers_and_pools_as_it_is_told() -> None:
    images, recorder = torch.randn(1, 3, 64, 32), Recorder()
    seen = {}
    for pool in ("padded", "ceil", "2x2"):
        torch.manual_seed(0)
        backbone = BACKBONES["resnet18"](stem_relu=False, stem_pool=pool).eval()
        backbone(images, {"stem": recorder})
        seen[pool] = recorder.seen
        before = backbone.bn1(backbone.conv1(images))  # type: ignore[operator]
    windows = before.unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))  # without border: one row less
    assert torch.equal(seen["ceil"][:, :, :15, :7], windows)
    assert torch.equal(seen["padded"][:, :, 1:, 1:], before[:, :, 1:, 1:].unfold(2, 3, 2)
                       .unfold(3, 3, 2).amax((4, 5)))  # fmt: skip
    assert torch.equal(seen["2x2"], before.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)))
    assert all(map.shape == (1, 64, 16, 8) and map.min() < 0 for map in seen.values())


def test_an_unknown_pooling_of_the_stem_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'padded'"):
        BACKBONES["resnet18"](stem_pool="paded")
