"""Where a network looks: maps over the image, from its last feature map."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from reid.evaluation.features import Embedding
from reid.utils.errors import ArgumentError


class ActivationMaps(NamedTuple):
    """Two maps of each of B images, not negative.

    Attributes:
        norm: (B, h, w) float32, length of the feature vector of each cell.
        grad_cam: (B, h, w) float32, how much each cell speaks for the likeness to the target.
    """

    norm: Tensor
    grad_cam: Tensor


def activation_maps(embed: Embedding, images: Tensor, targets: Tensor) -> ActivationMaps:
    """Returns where a network looks, in the modes that its modules are in.

    Grad-CAM weighs each channel by the mean gradient of a score with respect to it, and keeps what
    is positive. Here the score is the inner product of the image's feature with a target feature:
    there are no classes of test identities. The feature is not divided by its length first: the
    gradient of a cosine vanishes the more alike the two are.

    Differs: from Grad-CAM, what the cells do not explain (such as the mean that a normalization
    behind the pooling subtracts) is spread evenly over them before the negative is cut off. So the
    cells sum up to the score, as in Stylianou et al. Without it, many maps would be 0 everywhere.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017, arXiv:1610.02391; of two images that are
    compared: Stylianou et al., "Visualizing Deep Similarity Networks", WACV 2019, arXiv:1901.00536.

    Args:
        embed: The embedding of a model with the attribute ``pooling``, whose input is the map.
        images: (B, 3, H, W) float in [0, 1].
        targets: (B, D) features that those of the images are compared with, of unit length.

    Raises:
        ArgumentError: The pooling gets a single cell, and no map.
    """
    kept: list[Tensor] = []
    pooling = embed.model.pooling
    assert isinstance(pooling, nn.Module)
    hook = pooling.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    try:
        with torch.enable_grad():
            # So that the map has a gradient also where no parameter asks for one.
            feats = embed.raw(images.detach().clone().requires_grad_())
            cells = kept[0]  # a second one is that of the mirrored image
            if cells.shape[2] * cells.shape[3] == 1:
                raise ArgumentError("embed", "must pool a map; its pooling gets a single cell")
            scores = (feats * targets).sum(1)
            (gradient,) = torch.autograd.grad(scores.sum(), cells)
    finally:
        hook.remove()
    cells = cells.detach().float()
    weights = gradient.float().mean((2, 3), keepdim=True)
    parts = (weights * cells).sum(1)
    rest = (scores.detach() - parts.sum((1, 2))) / parts[0].numel()
    return ActivationMaps(cells.norm(dim=1), (parts + rest[:, None, None]).clamp(min=0))


def share_inside(heat: Tensor, masks: Tensor) -> Tensor:
    """Returns the share of each map's sum that lies inside a mask, (B,) in [0, 1].

    Maps are brought to the size of the masks, bilinearly. It is NaN where a map is 0 everywhere.
    Source: the energy-based pointing game of Wang et al., "Score-CAM", CVPR workshops 2020,
    arXiv:1910.01279.

    Args:
        heat: (B, h, w), not negative.
        masks: (B, H, W) in [0, 1].
    """
    large = resized(heat, (masks.shape[1], masks.shape[2]))
    return (large * masks).sum((1, 2)) / large.sum((1, 2))


def resized(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns maps of another size, (B, H, W).

    Args:
        heat: (B, h, w).
        size: (H, W).
    """
    return nn.functional.interpolate(heat[:, None], size, mode="bilinear", align_corners=False)[
        :, 0
    ]
