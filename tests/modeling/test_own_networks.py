"""ResNet-IBN-a and OSNet against their papers' numbers and slow oracles."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from reid.modeling import BACKBONES
from reid.modeling.backbones.osnet import Block, Gate
from reid.modeling.backbones.pretrained import load_pretrained
from reid.modeling.backbones.resnet_ibn_a import IBN


def test_ibn_normalizes_the_first_half_by_image_and_the_second_by_batch() -> None:
    layer, x = IBN(5).train(), torch.randn(3, 5, 4, 2)  # 2 channels by image, 3 by batch
    with torch.no_grad():
        layer.IN.weight.copy_(torch.tensor([2.0, 3.0]))
        layer.BN.bias.copy_(torch.tensor([1.0, 0.0, -1.0]))
    out = layer(x)
    for channel in range(5):
        for image in range(3):
            values = x[image, channel] if channel < 2 else x[:, channel]
            std = (values.var(correction=0) + 1e-5).sqrt()
            expected = (x[image, channel] - values.mean()) / std
            expected = expected * (2.0, 3.0)[channel] if channel < 2 else expected + 3 - channel
            torch.testing.assert_close(out[image, channel], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_ibn_resnets_have_the_published_names(depth: int) -> None:
    """Those of the first normalization of a block differ, but for the last stage's."""
    with torch.device("meta"):
        ours = BACKBONES[f"resnet{depth}_ibn_a"]().state_dict()
        plain = getattr(torchvision.models, f"resnet{depth}")().state_dict()
    expected = set()
    for key, value in plain.items():
        stage, *rest = key.split(".")
        if stage in ("layer1", "layer2", "layer3") and rest[1] == "bn1":
            norm, half = f"{stage}.{rest[0]}.bn1", tuple(size // 2 for size in value.shape)
            expected.add((f"{norm}.BN.{rest[2]}", half))
            if rest[2] in ("weight", "bias"):
                expected.add((f"{norm}.IN.{rest[2]}", half))
        elif stage != "fc":
            expected.add((key, tuple(value.shape)))
    assert {(key, tuple(value.shape)) for key, value in ours.items()} == expected
    assert "layer1.0.bn1.IN.weight" in ours and "layer4.0.bn1.IN.weight" not in ours


@pytest.mark.parametrize(("stride", "size"), [(1, (4, 2)), (2, (2, 1))])
def test_ibn_resnets_have_a_last_stride(stride: int, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        backbone = BACKBONES["resnet18_ibn_a"](last_stride=stride)
        assert backbone(torch.empty(1, 3, 64, 32), {}).shape[2:] == size


# Millions of parameters and of multiply-adds of a 256 x 128 image as the authors list them beside
# the weights (torchreid, docs/MODEL_ZOO.md), the layer fc among them, without the classifier.
PUBLISHED = {
    "osnet_x1_0": (2.2, 980, 512),
    "osnet_x0_75": (1.3, 570, 384),
    "osnet_x0_5": (0.6, 270, 256),
    "osnet_x0_25": (0.2, 80, 128),
    "osnet_ibn_x1_0": (2.2, 980, 512),
    "osnet_ain_x1_0": (2.2, 980, 512),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_osnet_has_the_published_size(name: str) -> None:
    millions, operations, channels = PUBLISHED[name]
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        backbone = BACKBONES[name]().eval()
        out = backbone(torch.empty(1, 3, 256, 128), {})
    assert out.shape == (1, channels, 16, 8) and backbone.feat_dim == channels
    fc = 512 * channels
    parameters = sum(p.numel() for p in backbone.parameters()) + fc + 512 + 2 * 512
    assert round(parameters / 1e6, 1) == millions
    assert round((counter.get_total_flops() / 2 + fc) / 1e6, -1) == operations


def test_osnet_has_the_published_names() -> None:
    found = {
        name: set(BACKBONES[name]().state_dict())
        for name in ("osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x1_0")
    }
    plain, ibn, ain = found.values()
    for key in (
        "conv1.conv.weight",
        "conv1.bn.running_mean",
        "conv2.0.conv1.conv.weight",
        "conv2.0.conv2a.conv1.weight",
        "conv2.0.conv2a.bn.weight",
        "conv2.0.conv2d.3.conv2.weight",
        "conv2.0.gate.fc1.bias",
        "conv2.0.conv3.bn.weight",
        "conv2.0.downsample.conv.weight",
        "conv2.2.0.conv.weight",
        "conv3.2.0.bn.weight",
        "conv5.conv.weight",
    ):
        assert key in plain
    assert "conv2.1.downsample.conv.weight" not in plain and "conv4.2.0.conv.weight" not in plain
    assert "conv2.0.IN.weight" in ibn - plain and "conv3.0.IN.weight" not in ibn
    assert "conv1.bn.running_mean" not in ibn  # instance normalization keeps no statistics
    blocks = {key.split(".IN.")[0] for key in ain if ".IN.weight" in key}
    assert blocks == {"conv2.0", "conv2.1", "conv3.1", "conv4.0"}
    assert "conv2.0.conv3.bn.weight" not in ain and "conv3.0.conv3.bn.weight" in ain
    assert "conv2.0.conv2.3.layers.3.bn.weight" in ain and "pool2.0.conv.weight" in ain


def test_a_gate_weighs_each_channel_by_one_number_of_the_image() -> None:
    gate, x = Gate(32), torch.randn(2, 32, 4, 2)
    for image in range(2):
        means = x[image].mean((1, 2))
        hidden = (gate.fc1.weight.flatten(1) @ means + gate.fc1.bias).clamp(min=0)
        weights = 1 / (1 + (-(gate.fc2.weight.flatten(1) @ hidden + gate.fc2.bias)).exp())
        expected = x[image] * weights[:, None, None]
        torch.testing.assert_close(gate(x)[image], expected)


@pytest.mark.parametrize("norm", ["bn", "ibn", "ain"])
def test_a_block_adds_its_gated_streams_to_its_input(norm: str) -> None:
    block = Block(64, 64, norm, instance=norm != "bn").eval()  # type: ignore[arg-type]
    x = torch.randn(2, 64, 6, 4)
    middle = block.conv1(x)
    if norm == "ain":
        streams = [layer.layers for layer in block.conv2]
    else:
        streams = [block.conv2a, block.conv2b, block.conv2c, block.conv2d]
    total = torch.zeros_like(middle)
    for stream in streams:
        total = total + block.gate(stream(middle))
    added = block.conv3.conv(total)
    added = added if norm == "ain" else block.conv3.bn(added)

    def by_image(t: Tensor) -> Tensor:
        mean, var = t.mean((2, 3), keepdim=True), t.var((2, 3), keepdim=True, correction=0)
        return (t - mean) / (var + 1e-5).sqrt()

    expected = {"bn": added + x, "ibn": by_image(added + x), "ain": by_image(added) + x}[norm]
    torch.testing.assert_close(block(x), expected.clamp(min=0), atol=1e-5, rtol=1e-4)


def test_a_file_of_osnet_loads_without_its_last_layers(tmp_path: Path) -> None:
    given = BACKBONES["osnet_x0_25"]().state_dict()
    file = {f"module.{key}": value for key, value in given.items()}
    file |= {"module.fc.0.weight": torch.ones(512, 128), "module.classifier.bias": torch.ones(9)}
    torch.save({"state_dict": file}, tmp_path / "osnet.pth")
    backbone = BACKBONES["osnet_x0_25"]()
    load_pretrained(backbone, "osnet_x0_25", "path", str(tmp_path / "osnet.pth"))
    assert all(torch.equal(value, given[key]) for key, value in backbone.state_dict().items())
