"""Away from the training identity that the classifier sees."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from reid.evaluation.features import Embedding
from reid.robustness.attacks.base import Loss
from reid.robustness.guides import Case
from reid.robustness.objectives.base import Objective
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.rngs import ImageRNGs


@OBJECTIVES.register("ce")
class Classification(Objective):
    """Cross-entropy to the training identity predicted for the clean image.

    Test identities are no training identities, so this attacks a decision that retrieval never
    takes: weak, and saturated logits hide its gradient. For comparison only.
    """

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the cross-entropy of (B, 3, H, W) images, to be maximised.

        See :class:`reid.robustness.objectives.base.Objective`.
        """
        with torch.no_grad():
            label = embed.logits(clean).argmax(1)
        return lambda images: cross_entropy(embed.logits(images), label, reduction="none")
