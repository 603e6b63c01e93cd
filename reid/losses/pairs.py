"""What losses on all pairs of a batch share."""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.losses.registry import Loss
from reid.utils import distributed

# What stands in for a pair that does not count, under an exponential. It is finite: where no pair
# of a row counts, -inf would make the gradient NaN.
_NOTHING = -1e30


class PairLoss(Loss):
    """Mean over anchors of a cost that compares each image of the batch with all others.

    An anchor without another image of its identity, or without one of another identity (the PK
    sampler makes neither), is left out of the mean; a batch of only such anchors costs 0.
    A subclass says what a pair is compared by (:meth:`compare`: the cosine, unless it says
    something else) and what an anchor costs (:meth:`cost`).

    Statistics: ``positive`` and ``negative``, the mean over anchors of the lowest cosine to a
    positive and of the highest cosine to a negative.

    Args:
        gather: Whether the pairs are searched among the features of all processes, not only of this
            one; the mean over processes is then the loss of all their batches taken as one.
    """

    consumes = "feat"
    needs_pairs = True

    def __init__(self, gather: bool = False) -> None:
        super().__init__()
        self.gather = gather

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over anchors, float32.

        Args:
            feat: (B, D), before the neck, not normalized, also half precision.
            labels: (B,) int64.
        """
        feat = feat.float()
        others, ids, first = feat, labels, 0
        if self.gather:
            others, ids = (distributed.all_gather_with_grad(x) for x in (feat, labels))
            first = distributed.rank() * len(labels)
        same = labels.unsqueeze(1) == ids.unsqueeze(0)
        positive = same & ~_themselves(same, first)
        valid = positive.any(1) & (~same).any(1)
        with torch.autocast(feat.device.type, enabled=False):
            compared = self.compare(feat, others)
            cost = self.cost(compared, positive, ~same)
        self.statistics = self.describe(compared.detach(), positive, ~same, valid)
        return mean_over_anchors(cost, valid, self.gather)

    def compare(self, feat: Tensor, others: Tensor) -> Tensor:
        """Returns the cosine of each pair, (B, N).

        Args:
            feat: (B, D) float32, the anchors.
            others: (N, D) float32, what they are compared with; the anchors are among them.
        """
        return F.normalize(feat) @ F.normalize(others).T

    @abstractmethod
    def cost(self, compared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Returns the cost of each anchor, (B,), finite also for those that are left out.

        Args:
            compared: (B, N), from :meth:`compare`.
            positive: (B, N) bool, the pairs of two images of one identity.
            negative: (B, N) bool, the pairs of two identities.
        """

    def describe(
        self, compared: Tensor, positive: Tensor, negative: Tensor, valid: Tensor
    ) -> dict[str, Tensor]:
        """Returns the statistics of the batch, scalars ().

        Args:
            compared: (B, N), from :meth:`compare`, without gradient.
            positive: (B, N) bool.
            negative: (B, N) bool.
            valid: (B,) bool, the anchors that count.
        """
        lowest = torch.where(positive, compared, torch.inf).amin(1)
        highest = torch.where(negative, compared, -torch.inf).amax(1)
        return {"positive": mean_of(lowest, valid), "negative": mean_of(highest, valid)}


def mean_over_anchors(cost: Tensor, valid: Tensor, gather: bool) -> Tensor:
    """Returns the mean cost of the anchors that count, a scalar; 0 if there is none.

    Args:
        cost: (B,), one for each anchor.
        valid: (B,) bool, the anchors that count.
        gather: Whether the mean over processes is to be the mean over the anchors of all of them.
    """
    anchors = valid.sum()
    processes = 1
    if gather:
        anchors = distributed.total(anchors)
        processes = distributed.world_size()
    return torch.where(valid, cost, 0).sum() * processes / anchors.clamp(min=1)


def mean_of(values: Tensor, valid: Tensor) -> Tensor:
    """Returns the mean of the values that count, a scalar; 0 if there is none.

    Args:
        values: (B,).
        valid: (B,) bool.
    """
    return torch.where(valid, values, 0).sum() / valid.sum().clamp(min=1)


def only(x: Tensor, mask: Tensor) -> Tensor:
    """Returns x, (B, N), with numbers whose exponential is 0 where ``mask`` is False.

    Args:
        x: (B, N).
        mask: (B, N) bool.
    """
    return torch.where(mask, x, _NOTHING)


def _themselves(same: Tensor, first: int) -> Tensor:
    """Returns (B, N) bool: anchor i stands at position ``first`` + i among the N."""
    batch, number = same.shape
    positions = torch.arange(number, device=same.device)
    return positions.unsqueeze(0) == positions[first : first + batch].unsqueeze(1)
