"""Objectives that are raised one after the other, each from where the one before it ended."""

from collections.abc import Sequence

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.attacks.search import StagedLoss
from reid.robustness.guides import Case
from reid.robustness.objectives.base import Objective
from reid.robustness.rngs import ImageRNGs


class Stages(Objective):
    """Objectives in the order in which they are raised; ``margin+smooth_ap`` in a name.

    The steps of an attack are divided among them. Images are compared by the last one.

    Args:
        objectives: At least one.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)
        self.flat_at_clean = objectives[0].flat_at_clean  # type: ignore[misc]
        self.targeted = objectives[-1].targeted  # type: ignore[misc]
        self.redrawn = objectives[-1].redrawn  # type: ignore[misc]
        self.knows_ranking = objectives[-1].knows_ranking  # type: ignore[misc]

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> StagedLoss:
        """Returns the losses of all objectives, each (B, 3, H, W) -> (B,).

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        return StagedLoss([objective(embed, clean, case, rngs) for objective in self.objectives])
