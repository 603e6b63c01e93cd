"""An attack objective that looks at the ranking: wrong images before right ones."""

import torch
from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.attacks import Loss
from reid.robustness.guides import Case
from reid.robustness.objectives import OBJECTIVES, Objective
from reid.robustness.rngs import ImageRNGs


@OBJECTIVES.register("margin")
class Margin(Objective):
    """log-sum-exp of the similarities to wrong images, less that of those to right ones.

    Args:
        temperature: Of the similarities.
    """

    def __init__(self, temperature: float = 0.05) -> None:
        self.temperature = temperature

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the loss (B, 3, H, W) -> (B,), to be maximised."""
        guides = case.guides
        right = case.pids[:, None] == guides.pids

        def loss(images: Tensor) -> Tensor:
            cos = embed(images) @ guides.feats.T / self.temperature
            wrong = cos.masked_fill(right, -torch.inf).logsumexp(1)
            return wrong - cos.masked_fill(~right, -1e4).logsumexp(1)

        return loss
