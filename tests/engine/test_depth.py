"""Depths of parameters, listed by hand for the names that families of networks have."""

import pytest
from torch import nn

from reid.engine.depth import block_depths
from reid.modeling import BACKBONES, PROVIDERS


def network(names: list[str]) -> nn.Module:
    """A module with one parameter of each name, in this order."""
    root = nn.Module()
    for name in names:
        *path, last = name.split(".")
        at = root
        for part in path:
            if part not in dict(at.named_children()):
                at.add_module(part, nn.Module())
            at = getattr(at, part)
        at.register_parameter(last, nn.Parameter())
    assert [name for name, _ in root.named_parameters()] == names
    return root


FAMILIES = {
    "vit": (
        {
            "cls_token": 0,
            "patch_embed.proj.weight": 0,
            "blocks.0.attn.qkv.weight": 1,
            "blocks.0.mlp.fc1.bias": 1,
            "blocks.1.norm1.weight": 2,
            "blocks.2.mlp.fc1.weight": 3,
            "norm.weight": 4,
        },
        3,
    ),
    "vit in a wrapper": (
        {"net.pos_embed": 0, "net.blocks.0.w": 1, "net.blocks.1.w": 2, "net.fc_norm.w": 3},
        2,
    ),
    "torchvision vit": (
        {
            "conv_proj.weight": 0,
            "encoder.layers.encoder_layer_0.mlp.0.weight": 1,
            "encoder.layers.encoder_layer_1.mlp.0.weight": 2,
            "encoder.ln.weight": 3,
        },
        2,
    ),
    "swin": (
        {
            "patch_embed.proj.weight": 0,
            "layers.0.blocks.0.w": 1,
            "layers.0.blocks.1.w": 2,
            "layers.1.downsample.norm.weight": 3,  # with the first block of its stage
            "layers.1.blocks.0.w": 3,
            "norm.weight": 4,
        },
        3,
    ),
    "convnext of timm": (
        {"stem.0.weight": 0, "stages.0.blocks.0.w": 1, "stages.1.downsample.1.w": 2}
        | {"stages.1.blocks.0.w": 2, "stages.1.blocks.1.w": 3, "norm_pre.weight": 4},
        3,
    ),
    "mobilenet of torchvision": (
        {"features.0.0.weight": 1, "features.1.conv.0.0.weight": 2, "features.2.conv.1.weight": 3},
        3,
    ),
    "between two sequences": (
        {"blocks.0.w": 1, "bridge.w": 1, "layers.0.w": 2, "last.w": 3},
        2,
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_depths_by_name(family: str) -> None:
    depths, count = FAMILIES[family]
    assert block_depths(network(list(depths))) == (depths, count)


def test_the_blocks_of_a_resnet_are_counted_through_its_stages() -> None:
    depths, count = block_depths(BACKBONES["resnet18"]())
    assert count == 8
    assert (depths["conv1.weight"], depths["bn1.bias"]) == (0, 0)
    first = {f"layer{s}.{b}": depths[f"layer{s}.{b}.conv1.weight"] for s in (1, 2, 3, 4)
             for b in (0, 1)}  # fmt: skip
    assert list(first.values()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert depths["layer3.0.downsample.0.weight"] == 5


def test_a_network_without_blocks_has_no_depths() -> None:
    assert block_depths(network(["conv1.weight", "conv2.0.weight", "fc.bias"])) == ({}, 0)


def test_a_backbone_may_say_its_depths_itself() -> None:
    body = network(["stem.w", "conv2.w", "conv3.w", "last.w"])
    own = {"stem.w": 0, "conv2.w": 1, "conv3.w": 2}
    body.depth_of = own.get  # type: ignore[assignment]
    assert block_depths(body) == ({**own, "last.w": 3}, 2)


@pytest.mark.parametrize(
    ("name", "size", "count", "first", "last"),
    [
        ("timm:vit_tiny_patch16_224", (64, 32), 12, "net.pos_embed", "net.norm.weight"),
        ("timm:convnext_atto", (64, 32), 12, "net.stem.0.weight", "net.head.norm.weight"),
        ("timm:regnety_002", (64, 32), 5, "", ""),  # a stem and four stages
        ("torchvision:vit_b_16", (64, 32), 12, "net.class_token", "net.encoder.ln.weight"),
        ("osnet_x0_25", None, 4, "conv1.conv.weight", ""),
    ],
)
def test_networks_of_every_source_have_depths(
    name: str, size: tuple[int, int] | None, count: int, first: str, last: str
) -> None:
    provider, _, model = name.rpartition(":")
    backbone = PROVIDERS[provider](model, size) if provider else BACKBONES[name]()
    depths, found = block_depths(backbone)
    assert found == count
    assert not first or depths[first] == 0
    assert not last or depths[last] == count + 1
    assert {name for name, _ in backbone.named_parameters()} == set(depths)
