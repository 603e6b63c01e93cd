"""Out of the neighbourhood that re-ranking reads."""

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.draws import Draws
from reid.robustness.guides import Case
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.optimizers.ascent import check_count
from reid.robustness.optimizers.registry import Loss


@OBJECTIVES.register("neighbors")
class Neighborhood:
    """The attack that knows of re-ranking: out of the query's neighbourhood, into a far one.

    The sum over the k nearest g, right or wrong, of |f(x') - f(g)|^2, minus |f(x') - c|^2: what
    k-reciprocal re-ranking encodes a query by are its neighbours, so these are what to leave.

    Args:
        k: Neighbours, as k1 of the re-ranking.
    """

    flat_at_clean, targeted, redrawn = False, False, False

    def __init__(self, k: int = 20) -> None:
        check_count("neighbors", "k", k)
        self.k = k

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, draws: Draws) -> Loss:
        """See :class:`reid.robustness.objectives.registry.Objective`."""
        before = case.clean_feats(embed, clean)
        far = case.guides.furthest_centroid(before, case.pids)
        near = case.guides.nearest(before, case.pids, case.camids, self.k)

        def loss(images: Tensor) -> Tensor:
            feats = embed(images)
            return near.squared_distances(feats) - (feats - far).square().sum(1)

        return loss
