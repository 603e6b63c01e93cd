"""Away from one's own images."""

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.optimizers.registry import Loss


@OBJECTIVES.register("metric")
class Metric:
    """Non-targeted metric attack: the sum over true matches g of |f(x') - f(g)|^2.

    Source: Bai et al., "Adversarial Metric Attack and Defense for Person Re-identification",
    arXiv:1901.10650.
    """

    flat_at_clean, targeted, redrawn = False, False, False

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """See :class:`reid.robustness.objectives.registry.Objective`."""
        own = case.guides.own(case.pids, case.camids)
        return lambda images: own.squared_distances(embed(images))
