"""The triplet loss of AGW."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.losses.pairs import PairLoss, mean_of, only
from reid.losses.registry import LOSSES

_ALIKE = 0.01  # difference of two distances below which the loss cannot tell them apart


@LOSSES.register("wrt")
class WeightedRegularizedTriplet(PairLoss):
    """Weighted-regularized triplet: softplus of mean distance to positives minus that to negatives.

    The means are weighted by a softmax over the distances, so that far positives and near negatives
    count most. There is no margin.

    Source: Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI
    2021 (AGW), equations 7 and 8.
    Differs: the authors' code counts the anchor itself, at distance 0, among its positives; the
    paper and this do not. Distances are exact: the authors expand the square.
    Statistics: ``positive`` and ``negative``, the mean over anchors of the two weighted distances;
    ``active``, the share of anchors whose first is larger than the second; ``collapsed``, the share
    of anchors whose two differ by at most 0.01: they cost what they would cost if all features were
    equal.

    Args:
        gather: Whether the pairs are searched among the features of all processes, not only of this
            one.
    """

    def __init__(self, gather: bool = False) -> None:
        super().__init__(gather)

    def compare(self, feat: Tensor, others: Tensor) -> Tensor:
        """Returns the Euclidean distance of each pair, (B, N); its gradient at 0 is 0.

        Args:
            feat: (B, D) float32.
            others: (N, D) float32.
        """
        # The expanded square would lose the digits of small distances.
        return torch.cdist(feat, others, compute_mode="donot_use_mm_for_euclid_dist")

    def cost(self, compared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Returns the cost (B,) of distances (B, N).

        Args:
            compared: (B, N) distances.
            positive: (B, N) bool.
            negative: (B, N) bool.
        """
        d_pos, d_neg = _weighted(compared, positive, negative)
        return F.softplus(d_pos - d_neg)

    def describe(
        self, compared: Tensor, positive: Tensor, negative: Tensor, valid: Tensor
    ) -> dict[str, Tensor]:
        """Returns the statistics of the batch, scalars ().

        Args:
            compared: (B, N) distances, without gradient.
            positive: (B, N) bool.
            negative: (B, N) bool.
            valid: (B,) bool, the anchors that count.
        """
        d_pos, d_neg = _weighted(compared, positive, negative)
        gap = d_pos - d_neg
        return {
            "positive": mean_of(d_pos, valid),
            "negative": mean_of(d_neg, valid),
            "active": mean_of((gap > 0).float(), valid),
            "collapsed": mean_of((gap.abs() <= _ALIKE).float(), valid),
        }


def _weighted(dist: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the weighted distances to positives and to negatives, (B,) each, of (B, N)."""
    of_positives = only(dist, positive).softmax(1)
    of_negatives = only(-dist, negative).softmax(1)
    return (of_positives * dist).sum(1), (of_negatives * dist).sum(1)
