"""Objectives that move images away from right images of the other side, or towards wrong ones."""

from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.attacks.base import Loss
from reid.robustness.guides import Case
from reid.robustness.objectives.base import Objective
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import Count, check_count


@OBJECTIVES.register("metric")
class Metric(Objective):
    """Non-targeted metric attack: the sum over true matches g of ``|f(x') - f(g)|^2``.

    Source: Bai et al., "Adversarial Metric Attack and Defense for Person Re-identification",
    arXiv:1901.10650.
    """

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the sum (B,) over the true matches g of ``|f(x') - f(g)|^2``; x' is (B, 3, H, W).

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        matches = case.guides.matches(case.pids, case.camids, case.indices)
        return lambda images: matches.squared_distances(embed(images))


@OBJECTIVES.register("metric_targeted")
class TargetedMetric(Objective):
    """Targeted metric attack: minus the sum of ``|f(x') - f(t)|^2`` over images t.

    They are the images of a random identity. Source: that of ``metric``.
    """

    targeted = True

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns minus the sum (B,) of the target distances of (B, 3, H, W) images.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        target = case.guides.of_identity(case.guides.targets(case.pids, case.indices))
        return lambda images: -target.squared_distances(embed(images))


@OBJECTIVES.register("fna")
class FurthestNegative(Objective):
    """Furthest-negative attack: sum of ``|f(x') - f(g)|^2`` over g, minus ``|f(x') - c|^2``.

    g are the true matches; c is the mean feature of the other identity whose mean is furthest from
    f(x).

    Source: Bouniot et al., CVPR workshops 2020, see ``sma``.
    """

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the loss (B,) of (B, 3, H, W) images; c depends on the clean images only.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        far = case.guides.furthest_centroid(case.clean_feats(embed, clean), case.pids)
        matches = case.guides.matches(case.pids, case.camids, case.indices)

        def loss(images: Tensor) -> Tensor:
            feats = embed(images)
            return matches.squared_distances(feats) - (feats - far).square().sum(1)

        return loss


@OBJECTIVES.register("neighbors")
class Neighborhood(Objective):
    """Attack on re-ranking: moves a query away from its neighbours and towards another identity.

    It is the sum over the k nearest g, right or wrong, of ``|f(x') - f(g)|^2``, minus
    ``|f(x') - c|^2``, with c as in ``fna``. k-reciprocal re-ranking describes a query by its
    neighbours, so the attack leaves them.

    Args:
        k: Number of neighbours; it corresponds to k1 of the re-ranking.
    """

    def __init__(self, k: Count = 20) -> None:
        check_count("k", k)
        self.k = k

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the loss (B,) of (B, 3, H, W) images; g and c depend on the clean images only.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        before = case.clean_feats(embed, clean)
        far = case.guides.furthest_centroid(before, case.pids)
        near = case.guides.nearest(before, case.pids, case.camids, self.k, case.indices)

        def loss(images: Tensor) -> Tensor:
            feats = embed(images)
            return near.squared_distances(feats) - (feats - far).square().sum(1)

        return loss
