"""What the families of ResNets share: which ResNet a file holds, and the keys that belong to it."""

from typing import Any

from reid.utils.errors import InputError
from reid.weights.family import State

# Blocks of each stage and whether they are bottlenecks -> depth.
DEPTHS: dict[tuple[tuple[int, ...], bool], int] = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
IMAGENET_PIXELS = {
    "INPUT.PIXEL_MEAN": (0.485, 0.456, 0.406),
    "INPUT.PIXEL_STD": (0.229, 0.224, 0.225),
}


def has_resnet(state: State, prefix: str = "") -> bool:
    """Says whether a ResNet with torchvision's names lies below a prefix.

    Args:
        state: Tensors by name.
        prefix: What its names begin with.
    """
    names = ("conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer4.0.conv1.weight")
    return all(prefix + name in state for name in names)


def resnet_name(state: State, prefix: str = "") -> str:
    """Returns the name in BACKBONES of the ResNet below a prefix.

    Args:
        state: Tensors by name.
        prefix: What its names begin with.

    Raises:
        InputError: There is no such ResNet here.
    """
    stages = tuple(len(blocks(state, f"{prefix}layer{stage}.")) for stage in (1, 2, 3, 4))
    bottleneck = f"{prefix}layer1.0.conv3.weight" in state
    depth = DEPTHS.get((stages, bottleneck))
    if not has_resnet(state, prefix) or depth is None:
        raise InputError(
            f"its network is no ResNet-18, 34, 50, 101 or 152 (stages of {stages} blocks); others"
            " are not known here, see docs/weights.md"
        )
    ibn = f"{prefix}layer1.0.bn1.IN.weight" in state
    return f"resnet{depth}_ibn_a" if ibn else f"resnet{depth}"


def blocks(state: State, prefix: str) -> set[str]:
    return {
        name.removeprefix(prefix).partition(".")[0] for name in state if name.startswith(prefix)
    }


def resnet_settings(
    name: str,
    size: tuple[int, int],
    last_stride: int,
    stem_relu: bool = True,
    stem_pool: str = "padded",
) -> dict[str, Any]:
    """Returns the keys of a ResNet and of what it was trained on.

    Args:
        name: In BACKBONES.
        size: (H, W) of its images.
        last_stride: Of its last stage.
        stem_relu: Whether its stem has a ReLU.
        stem_pool: Max pooling of its stem, as the backbone calls it.
    """
    section = f"MODEL.BACKBONE.{name.upper()}"
    return {
        "MODEL.BACKBONE.NAME": name,
        f"{section}.LAST_STRIDE": last_stride,
        f"{section}.STEM_RELU": stem_relu,
        f"{section}.STEM_POOL": stem_pool,
        "INPUT.SIZE_TRAIN": size,
        "INPUT.SIZE_TEST": size,
        **IMAGENET_PIXELS,
    }
