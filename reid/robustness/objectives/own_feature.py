"""Objectives that move an image away from its clean feature; they need only model and image."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reid.data.augmentation.arrays import LUMA_WEIGHTS
from reid.data.augmentation.rectangle import draw_rectangle
from reid.evaluation.features import Embedding
from reid.robustness.attacks.base import Loss
from reid.robustness.guides import Case
from reid.robustness.objectives.base import Objective
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.rngs import ImageRNGs


@OBJECTIVES.register("sma")
class SelfMetric(Objective):
    """Self metric attack: ``|f(x') - f(x)|^2``. It uses nothing of the other side.

    Source: Bouniot et al., "Vulnerability of Person Re-Identification Models to Metric Adversarial
    Attacks", CVPR workshops 2020.
    """

    flat_at_clean = True

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the squared distance (B,) of (B, 3, H, W) images to the clean feature.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        before = case.clean_feats(embed, clean)
        return lambda images: (embed(images) - before).square().sum(1)


@OBJECTIVES.register("odfa")
class OppositeDirection(Objective):
    """Opposite-direction feature attack on unit features: ``-|f(x') + f(x)|^2``.

    For unit vectors ``|u + v|^2 + |u - v|^2 = 4``, so it is ``sma`` minus 4, which is the same
    attack.

    Source: Zheng et al., "U-turn: Crafting Adversarial Queries with Opposite-direction Features",
    arXiv:1809.02681.
    """

    flat_at_clean = True

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns ``-|f(x') + f(x)|^2``, (B,), of (B, 3, H, W) images, on unit features.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        with torch.no_grad():
            before = normalize(embed(clean))
        return lambda images: -(normalize(embed(images)) + before).square().sum(1)


@OBJECTIVES.register("odfa_raw")
class RawOppositeDirection(Objective):
    """Opposite-direction feature attack on features that are not normalised: ``-|z(x') + z(x)|^2``.

    It has a gradient at the clean image, but mostly shortens z, which does not change a ranking by
    unit features. It is a weak attack, included because the literature reports it.

    Source: Zheng et al., arXiv:1809.02681, see ``odfa``.
    """

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns ``-|z(x') + z(x)|^2``, (B,), of (B, 3, H, W) images, on raw features.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        with torch.no_grad():
            before = embed.raw(clean)
        return lambda images: -(embed.raw(images) + before).square().sum(1)


@OBJECTIVES.register("lta")
class LocalTransformation(Objective):
    """Local transformation attack: ``|f(x') - f(T(x))|^2``, where T makes a random patch gray.

    Source: Gong et al., "Person Re-identification Method Based on Color Attack and Joint Defence",
    arXiv:2111.09571; patches as in local grayscale patch replacement.
    """

    redrawn = True

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the loss (B,) of (B, 3, H, W) images; each call draws new patches.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """

        def loss(images: Tensor) -> Tensor:
            with torch.no_grad():
                guide = embed(gray_patches(clean, rngs))
            return (embed(images) - guide).square().sum(1)

        return loss


def gray_patches(images: Tensor, rngs: ImageRNGs) -> Tensor:
    """Returns copies of the images, (B, 3, H, W), each with one random rectangle in gray.

    Args:
        images: (B, 3, H, W) in [0, 1].
        rngs: A generator for each image.
    """
    out = images.clone()
    weights = torch.tensor(LUMA_WEIGHTS, dtype=images.dtype, device=images.device).view(3, 1, 1)
    height, width = images.shape[2:]
    for image, rng in zip(out, rngs.generators, strict=True):
        box = draw_rectangle(rng, (height, width))
        if box is not None:
            top, left, rows, columns = box
            area = image[:, top : top + rows, left : left + columns]
            area.copy_((area * weights).sum(0, keepdim=True).expand_as(area))
    return out
