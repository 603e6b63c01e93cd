"""Every classification network of torchvision."""

import math
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid.modeling.backbones.maps import Size
from reid.modeling.backbones.registry import PROVIDERS
from reid.modeling.backbones.staged import StagedNetwork, Traits
from reid.utils.errors import ArgumentError, suggest

# What comes behind the last map, by the names that torchvision gives it.
HEADS = ("avgpool", "flatten", "dropout", "fc", "classifier", "head", "heads")
AUXILIARY = ("aux1", "aux2", "AuxLogits")  # classifiers of Inception's training
INCEPTIONS = ("googlenet", "inception_v3")  # whose weights are TensorFlow's
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
POSITIONS = "encoder.pos_embedding"


@PROVIDERS.register("torchvision")
def build(model: str, size: Size, token: Literal["patch", "cls"] = "patch") -> nn.Module:
    """Builds a classification network of torchvision without its classifier, with random weights.

    Args:
        model: Name in ``torchvision.models``.
        size: (H, W) of the images; the positions of a ViT are made for it.
        token: What goes to the pooling: ``patch``, the map of the patch tokens (of a CNN, its last
            map), or ``cls``, the class token alone.

    Raises:
        ArgumentError: The name is unknown, or the network does not take images of this size.
    """
    from torchvision import models  # here: it takes as long to load as torch

    known = models.list_models(module=models)
    if model not in known:
        words = [f"torchvision:{word}" for word in known] if model else []
        mend = suggest(f"torchvision:{model}", words) or "."
        raise ArgumentError(
            "model",
            f"has the unknown value 'torchvision:{model}'{mend} Known of torchvision:"
            f" {', '.join(known)}",
        )
    net: Any = models.get_model(model, weights=None, **_no_extras(model))
    is_vit = isinstance(net, models.VisionTransformer)
    if is_vit:
        check_patches(f"torchvision:{model}", size, (net.patch_size, net.patch_size))
        _set_positions(net, size)
    for name in (*HEADS, *AUXILIARY):
        if hasattr(net, name):
            setattr(net, name, nn.Identity())
    traits = Traits(
        name=f"torchvision:{model}",
        prefix=int(is_vit),
        nhwc=isinstance(net, models.SwinTransformer),
        class_token=is_vit,
        classifier=tuple(f"{name}." for name in (*HEADS, *AUXILIARY)),
        pixels=HALVES if model in INCEPTIONS else IMAGENET,
    )
    return _Network(net, _vit_features if is_vit else _features, size, traits, token)


def _no_extras(model: str) -> dict[str, Any]:
    """Returns the arguments that spare classifiers, and an initialization that takes a minute."""
    if model in INCEPTIONS:
        return {"aux_logits": False, "init_weights": False}
    return {}


class _Network(StagedNetwork):
    """A network of torchvision, whose weights it knows."""

    def adapted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns a file's weights with the positions of a ViT for the size of its images."""
        net: Any = self.net
        if POSITIONS in state and state[POSITIONS].shape != net.encoder.pos_embedding.shape:
            return {**state, POSITIONS: resized(state[POSITIONS], net.grid)}
        return state


def _features(net: nn.Module, x: Tensor) -> Tensor:
    """Runs the parts of a network one after another, without its head."""
    for name, part in net.named_children():
        if name in (*HEADS, *AUXILIARY):
            continue
        for layer in part if isinstance(part, nn.ModuleList) else (part,):
            x = layer(x)
    # DenseNet has this ReLU in its forward method.
    return F.relu(x) if type(net).__name__ == "DenseNet" else x


def _vit_features(net: Any, x: Tensor) -> Tensor:
    """Returns all tokens of a ViT behind its last norm."""
    x = net.conv_proj(x).flatten(2).transpose(1, 2)
    return cast(Tensor, net.encoder(torch.cat([net.class_token.expand(len(x), -1, -1), x], 1)))


def _set_positions(net: Any, size: Size) -> None:
    """Gives a ViT positions for images of ``size``."""
    patch = net.patch_size
    net.grid = (size[0] // patch, size[1] // patch)
    net.encoder.pos_embedding = nn.Parameter(resized(net.encoder.pos_embedding.detach(), net.grid))


def check_patches(name: str, size: Size, patch: Size) -> None:
    """Raises ArgumentError, with the nearest sizes, unless images can be cut into whole patches.

    Args:
        name: Of the network, for the message.
        size: (H, W) of the images.
        patch: (H, W) of a patch.
    """
    if size[0] % patch[0] == 0 and size[1] % patch[1] == 0:
        return
    less = tuple(max(1, s // p) * p for s, p in zip(size, patch, strict=True))
    more = tuple(math.ceil(s / p) * p for s, p in zip(size, patch, strict=True))
    raise ArgumentError(
        "size",
        f"is {size}, but {name} cuts images into patches of {patch[0]} x {patch[1]} pixels; set it"
        f" to {more} or {less}",
    )


def resized(positions: Tensor, grid: Size) -> Tensor:
    """Interpolates the positions of a square grid, (1, 1 + n, C), to (1, 1 + h w, C).

    The first position, the class token's, stays. Bicubic, as in torchvision's own
    ``interpolate_embeddings``, which makes square grids only.

    Args:
        positions: Of the class token and of the patches, row by row.
        grid: (h, w).

    Raises:
        ArgumentError: The patches are not those of a square.
    """
    side = math.isqrt(positions.shape[1] - 1)
    if side**2 != positions.shape[1] - 1:
        raise ArgumentError("path", f"has {positions.shape[1] - 1} positions, which are no square")
    first, rest = positions[:, :1], positions[:, 1:]
    if (side, side) == tuple(grid):
        return positions
    square = rest.transpose(1, 2).unflatten(2, (side, side))
    smooth = F.interpolate(square, size=grid, mode="bicubic", align_corners=True)
    return torch.cat([first, smooth.flatten(2).transpose(1, 2)], 1)
