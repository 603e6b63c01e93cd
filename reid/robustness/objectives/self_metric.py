"""Away from where the image was."""

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.optimizers.registry import Loss


@OBJECTIVES.register("sma")
class SelfMetric:
    """Self metric attack: |f(x') - f(x)|^2. Knows nothing of the other side.

    Source: Bouniot et al., "Vulnerability of Person Re-Identification Models to Metric Adversarial
    Attacks", CVPR workshops 2020.
    """

    flat_at_clean, targeted, redrawn = True, False, False

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """See :class:`reid.robustness.objectives.registry.Objective`."""
        before = case.clean_feats(embed, clean)
        return lambda images: (embed(images) - before).square().sum(1)
