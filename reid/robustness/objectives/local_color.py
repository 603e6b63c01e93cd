"""Away from oneself with a patch turned gray."""

import torch
from torch import Tensor

from reid.data.augment import GrayscalePatch, draw_rectangle
from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.optimizers.registry import Loss

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2


@OBJECTIVES.register("lta")
class LocalTransformation:
    """Local transformation attack: |f(x') - f(T(x))|^2, T a gray patch drawn anew at each call.

    Source: Gong et al., "Person Re-identification Method Based on Color Attack and Joint Defence",
    arXiv:2111.09571; patches as in local grayscale patch replacement.
    """

    flat_at_clean, targeted, redrawn = False, False, True

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """See :class:`reid.robustness.objectives.registry.Objective`."""

        def loss(images: Tensor) -> Tensor:
            with torch.no_grad():
                guide = embed(gray_patches(clean, draws))
            return (embed(images) - guide).square().sum(1)

        return loss


def gray_patches(images: Tensor, draws: Draws) -> Tensor:
    """Returns copies with one random rectangle gray, each by its own generator."""
    out, patch = images.clone(), GrayscalePatch()
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device).view(3, 1, 1)
    height, width = images.shape[2:]
    for image, rng in zip(out, draws.rngs, strict=True):
        box = draw_rectangle(rng, (height, width), patch.area, patch.aspect)
        if box is not None:
            top, left, rows, columns = box
            area = image[:, top : top + rows, left : left + columns]
            area.copy_((area * weights).sum(0, keepdim=True).expand_as(area))
    return out
