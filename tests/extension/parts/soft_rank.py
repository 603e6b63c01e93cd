"""An attack objective that looks at the ranking: how many wrong images are before right ones."""

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.attacks import Loss
from reid.robustness.guides import Case
from reid.robustness.objectives import OBJECTIVES, Objective
from reid.robustness.rngs import ImageRNGs


@OBJECTIVES.register("soft_rank")
class SoftRank(Objective):
    """The number of wrong images before the mean right one, counted by sigmoids.

    Args:
        temperature: Of the similarities.
    """

    def __init__(self, temperature: float = 0.05) -> None:
        self.temperature = temperature

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the loss (B, 3, H, W) -> (B,), to be maximised."""
        guides = case.guides
        right = (case.pids[:, None] == guides.pids).float()

        def loss(images: Tensor) -> Tensor:
            cos = embed(images) @ guides.feats.T
            mean = (cos * right).sum(1, keepdim=True) / right.sum(1, keepdim=True)
            return (((cos - mean) / self.temperature).sigmoid() * (1 - right)).sum(1)

        return loss
