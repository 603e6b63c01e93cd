"""Towards the opposite of the feature before it is scaled."""

import torch
from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.optimizers.registry import Loss


@OBJECTIVES.register("odfa_raw")
class RawOppositeDirection:
    """Opposite-direction feature attack on features of their own length: -|z(x') + z(x)|^2.

    It has a gradient at the clean image, but mostly shortens z, which a ranking by unit features
    does not see: a weak attack, here because the literature reports it.

    Source: Zheng et al., arXiv:1809.02681, see ``odfa``.
    """

    flat_at_clean, targeted, redrawn = False, False, False

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """See :class:`reid.robustness.objectives.registry.Objective`."""
        with torch.no_grad():
            before = embed.raw(clean)
        return lambda images: -(embed.raw(images) + before).square().sum(1)
