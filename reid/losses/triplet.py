"""Metric learning on the hardest pairs of a batch."""

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.losses.pairs import mean_over_anchors
from reid.losses.registry import LOSSES, Loss
from reid.utils import distributed
from reid.utils.checks import Range, check_range

_AT_MARGIN = 0.01  # share of the margin by which two distances may differ and count as equal


@LOSSES.register("triplet")
class BatchHardTriplet(Loss):
    """Pulls each image's farthest positive nearer than its nearest negative.

    Source: Hermans, Beyer & Leibe, arXiv:1703.07737, section 2, "Batch Hard".
    Statistics: ``positive`` and ``negative``, the mean distances to farthest positive and nearest
    negative, each with its standard deviation over the anchors of a batch, ``positive_std`` and
    ``negative_std``; ``active``, the share of anchors whose cost the hinge does not set to 0, or,
    with the soft margin, whose positive is farther than the negative; ``collapsed``, the share of
    anchors whose two distances differ by at most 1 % of the margin (of 1, with the soft margin):
    they cost what they would cost if all features were equal. An anchor that the loss leaves out
    does not count; a batch without others counts as 0 in all of them.
    Differs: an anchor without another image of its identity, or without one of another identity
    (the PK sampler makes neither), is left out of the mean; a batch of only such anchors costs 0.

    Args:
        margin: Gap between the two distances, in units of Euclidean distance, at least 0; the soft
            margin does not use it.
        soft_margin: Whether the cost of an anchor is log(1 + exp(d_pos - d_neg)) instead of
            max(0, d_pos - d_neg + margin).
        gather: Whether the pairs are searched among the features of all processes, not only of this
            one; the mean over processes is then the loss of all their batches taken as one.

    Raises:
        ArgumentError: The margin is negative.

    Examples:
        The first two are of one identity. The positive of anchor 0 is 1 away, its negative 3: it
        costs 1 - 3 + 2.5. Anchor 1 costs 1 - 2 + 2.5, and anchor 2 is left out.

        >>> import torch
        >>> feat = torch.tensor([[0.0], [1.0], [3.0]])
        >>> BatchHardTriplet(margin=2.5)(feat, torch.tensor([5, 5, 6]))  # (0.5 + 1.5) / 2
        tensor(1.)
    """

    consumes = "feat"
    needs_pairs = True

    def __init__(
        self,
        margin: Annotated[float, Range(0, 1000)] = 0.3,
        soft_margin: bool = False,
        gather: bool = False,
    ) -> None:
        super().__init__()
        check_range("margin", margin, 0)
        self.margin = margin
        self.soft_margin = soft_margin
        self.gather = gather

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over anchors, fp32.

        Args:
            feat: (B, D), before the neck, not normalized.
            labels: (B,) int64.
        """
        feat = feat.float()
        others, ids = feat, labels
        if self.gather:
            others, ids = (distributed.all_gather_with_grad(x) for x in (feat, labels))
        positive, negative, valid = hardest_pairs(feat.detach(), labels, others.detach(), ids)
        # index_select, not feat[positive]: the gradient of feat[positive] adds repeated rows up in
        # an order that differs from run to run.
        # vector_norm has gradient 0 at 0, where the gradient of the square root is infinite.
        d_pos = torch.linalg.vector_norm(feat - others.index_select(0, positive), dim=1)
        d_neg = torch.linalg.vector_norm(feat - others.index_select(0, negative), dim=1)
        gap = d_pos - d_neg
        cost = F.softplus(gap) if self.soft_margin else F.relu(gap + self.margin)
        self.statistics = self._statistics(d_pos.detach(), d_neg.detach(), valid)
        return mean_over_anchors(cost, valid, self.gather)

    def _statistics(self, d_pos: Tensor, d_neg: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Describes the distances (B,) of the anchors that are valid, (B,) bool."""
        gap = d_pos - d_neg
        margin = 0.0 if self.soft_margin else self.margin
        scale = 1.0 if self.soft_margin else self.margin
        active = gap + margin > 0
        collapsed = gap.abs() <= _AT_MARGIN * scale
        anchors = valid.sum().clamp(min=1)
        values = torch.stack([d_pos, d_neg, active, collapsed])  # (4, B)
        means = torch.where(valid, values, 0).sum(1) / anchors
        offset = torch.where(valid, values[:2] - means[:2].unsqueeze(1), 0)
        stds = (offset.square().sum(1) / anchors).sqrt()
        names = ("positive", "negative", "active", "collapsed", "positive_std", "negative_std")
        return dict(zip(names, torch.cat([means, stds]).unbind(), strict=True))


def hardest_pairs(
    feat: Tensor, labels: Tensor, others: Tensor, ids: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Finds for each feature its farthest positive and its nearest negative.

    Args:
        feat: (B, D).
        labels: (B,) int64.
        others: (N, D), the features to search; the rows of ``feat`` are among them.
        ids: (N,) int64, their labels.

    Returns:
        Three of (B,), the positions of positive and negative in ``others``, int64, and whether the
        anchor has both, bool; otherwise the positions mean nothing.
    """
    # Distances are computed from differences. The expanded square would lose the digits of small
    # distances, and the nearest negatives are at small distances.
    dist = torch.cdist(feat, others, compute_mode="donot_use_mm_for_euclid_dist")  # (B, N)
    same = labels.unsqueeze(1) == ids.unsqueeze(0)
    # The anchor itself, at distance 0, is the farthest only where all positives are equal to it.
    positive = torch.where(same, dist, -torch.inf).argmax(1)
    negative = torch.where(~same, dist, torch.inf).argmin(1)
    return positive, negative, (same.sum(1) > 1) & (~same).any(1)
