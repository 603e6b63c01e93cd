"""Towards the images of another person."""

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.optimizers.registry import Loss


@OBJECTIVES.register("metric_targeted")
class TargetedMetric:
    """Targeted metric attack: minus the sum over images t of a drawn identity of |f(x') - f(t)|^2.

    Source: as ``metric``.
    """

    flat_at_clean, targeted, redrawn = False, True, False

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """See :class:`reid.robustness.objectives.registry.Objective`."""
        target = case.guides.of_identity(case.guides.targets(case.pids, case.indices))
        return lambda images: -target.squared_distances(embed(images))
