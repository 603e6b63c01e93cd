"""torchvision's network, opened after every stage."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from reid.modeling import BACKBONES
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
