"""Away from one's own images and towards the person who looks least alike."""

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.optimizers.registry import Loss


@OBJECTIVES.register("fna")
class FurthestNegative:
    """Furthest-negative attack: sum over true matches g of |f(x') - f(g)|^2, minus |f(x') - c|^2.

    c is the mean feature of the other identity whose mean is furthest from f(x).

    Source: Bouniot et al., CVPR workshops 2020, see ``sma``.
    """

    flat_at_clean, targeted, redrawn = False, False, False

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """See :class:`reid.robustness.objectives.registry.Objective`."""
        far = case.guides.furthest_centroid(case.clean_feats(embed, clean), case.pids)
        own = case.guides.own(case.pids, case.camids)

        def loss(images: Tensor) -> Tensor:
            feats = embed(images)
            return own.squared_distances(feats) - (feats - far).square().sum(1)

        return loss
