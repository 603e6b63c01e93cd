"""An objective that moves images away from the identity that the classifier predicts."""

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

    It is weak and serves for comparison only: retrieval makes no such decision, because test
    identities are not training identities, and saturated logits hide the gradient.
    """

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the cross-entropy (B,) of (B, 3, H, W) images, to be maximised.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        with torch.no_grad():
            label = embed.logits(clean).argmax(1)
        return lambda images: cross_entropy(embed.logits(images), label, reduction="none")
