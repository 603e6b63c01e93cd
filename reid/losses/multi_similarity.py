"""Pairs that are weighted by how they compare with the other pairs of their anchor."""

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.losses.pairs import PairLoss, only
from reid.losses.registry import LOSSES
from reid.utils.checks import Range, Scale, check_range

Cosine = Annotated[float, Range(-1, 1)]


@LOSSES.register("multi_similarity")
class MultiSimilarity(PairLoss):
    """Multi-similarity loss with its selection of pairs.

    The cost of an anchor is log(1 + sum over positives of exp(-alpha (s - base))) / alpha
    + log(1 + sum over negatives of exp(beta (s - base))) / beta, with cosines s.

    Source: Wang et al., "Multi-Similarity Loss with General Pair Weighting", CVPR 2019, equations
    11 to 15. The paper has base 1; the authors' code and pytorch-metric-learning 0.5. The authors'
    code has beta 40; the paper and pytorch-metric-learning 50.
    Differs: an anchor of which no pair is selected costs 0 and counts in the mean, as in the paper;
    pytorch-metric-learning, by default, leaves it out. An anchor without a positive, or without a
    negative, does not count.
    Statistics: :class:`reid.losses.pairs.PairLoss`.

    Args:
        alpha: Scale of the positives.
        beta: Scale of the negatives.
        base: Cosine at which a pair is neither near nor far.
        mining: Whether only such pairs count as are harder than the anchor's hardest pair of the
            other kind, up to ``epsilon``.
        epsilon: Tolerance of the selection, in units of cosine similarity.
        gather: Whether the pairs are searched among the features of all processes, not only of this
            one.

    Raises:
        ArgumentError: A number is outside its range.
    """

    def __init__(
        self,
        alpha: Scale = 2.0,
        beta: Scale = 50.0,
        base: Cosine = 0.5,
        mining: bool = True,
        epsilon: Annotated[float, Range(0, 2)] = 0.1,
        gather: bool = False,
    ) -> None:
        super().__init__(gather)
        check_range("alpha", alpha, 0, above=True)
        check_range("beta", beta, 0, above=True)
        check_range("base", base, -1, 1)
        check_range("epsilon", epsilon, 0, 2)
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.mining = mining
        self.epsilon = epsilon

    def cost(self, compared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Returns the cost (B,) of cosines (B, N).

        Args:
            compared: (B, N) cosines.
            positive: (B, N) bool.
            negative: (B, N) bool.
        """
        if self.mining:
            positive, negative = self.select(compared.detach(), positive, negative)
        offset = compared - self.base
        of_positives = _log_1p_sum_exp(only(-self.alpha * offset, positive)) / self.alpha
        of_negatives = _log_1p_sum_exp(only(self.beta * offset, negative)) / self.beta
        return of_positives + of_negatives

    def select(self, cos: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the positives and the negatives, (B, N) bool, that are hard enough to count.

        Args:
            cos: (B, N) cosines.
            positive: (B, N) bool.
            negative: (B, N) bool.
        """
        farthest = torch.where(positive, cos, torch.inf).amin(1, keepdim=True)
        nearest = torch.where(negative, cos, -torch.inf).amax(1, keepdim=True)
        return positive & (cos - self.epsilon < nearest), negative & (cos + self.epsilon > farthest)


def _log_1p_sum_exp(x: Tensor) -> Tensor:
    """Returns log(1 + sum of exp(x)) of each row of (B, N)."""
    return F.pad(x, (0, 1)).logsumexp(1)
