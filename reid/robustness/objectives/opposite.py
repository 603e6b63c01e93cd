"""Towards the opposite of one's own feature."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.optimizers.registry import Loss


@OBJECTIVES.register("odfa")
class OppositeDirection:
    """Opposite-direction feature attack on unit features: -|f(x') + f(x)|^2.

    Of unit vectors |u + v|^2 + |u - v|^2 = 4, so this is ``sma`` less 4: the same attack.

    Source: Zheng et al., "U-turn: Crafting Adversarial Queries with Opposite-direction Features",
    arXiv:1809.02681.
    """

    flat_at_clean, targeted, redrawn = True, False, False

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """See :class:`reid.robustness.objectives.registry.Objective`."""
        with torch.no_grad():
            before = normalize(embed(clean))
        return lambda images: -(normalize(embed(images)) + before).square().sum(1)
