"""Similarities that are pulled at a pace of their own."""

from torch import Tensor
from torch.nn import functional as F

from reid.losses.pairs import PairLoss, only
from reid.losses.registry import LOSSES
from reid.utils.checks import Probability, Scale, check_probability, check_range


@LOSSES.register("circle")
class CircleLoss(PairLoss):
    """Circle loss on pairs: softplus of log-sum-exp over positives plus log-sum-exp over negatives.

    With the cosine s, a positive has the logit -gamma [1 + m - s]+ (s - 1 + m) and a negative
    gamma [s + m]+ (s - m). The factors in brackets are weights, without gradient.

    Source: Sun et al., "Circle Loss", CVPR 2020, equations 4 to 9. The defaults are fast-reid's
    for pairs; pytorch-metric-learning has margin 0.4 and gamma 80, the paper's for fine-grained
    retrieval. A larger gamma gives a larger gradient: choose LOSS.WEIGHTS with it.
    Differs: one version of fast-reid's code keeps the pairs of the other kind in both sums, with
    the cosine 0; here, as in the paper, they are left out.
    Statistics and anchors that are left out: :class:`reid.losses.pairs.PairLoss`.

    Args:
        margin: Relaxation m, in units of cosine similarity.
        gamma: Scale of the logits.
        gather: Whether the pairs are searched among the features of all processes, not only of this
            one.

    Raises:
        ArgumentError: The margin is outside [0, 1], or the scale not positive.
    """

    def __init__(
        self, margin: Probability = 0.25, gamma: Scale = 128.0, gather: bool = False
    ) -> None:
        super().__init__(gather)
        check_probability("margin", margin)
        check_range("gamma", gamma, 0, above=True)
        self.margin = margin
        self.gamma = gamma

    def cost(self, compared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Returns the cost (B,) of cosines (B, N).

        Args:
            compared: (B, N) cosines.
            positive: (B, N) bool.
            negative: (B, N) bool.
        """
        of_positive, of_negative = circle_logits(compared, self.margin)
        low = only(-self.gamma * of_positive, positive).logsumexp(1)
        high = only(self.gamma * of_negative, negative).logsumexp(1)
        return F.softplus(low + high)


def circle_logits(cos: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Returns the weighted distances of cosines from what they should be.

    Args:
        cos: (B, N) cosines.
        margin: Relaxation m.

    Returns:
        (B, N), ``[1 + m - s]+ (s - 1 + m)``, which is to be large for pairs of one person, and
        (B, N), ``[s + m]+ (s - m)``, which is to be small for pairs of two.
    """
    fixed = cos.detach()
    positive = F.relu(1 + margin - fixed) * (cos - 1 + margin)
    negative = F.relu(fixed + margin) * (cos - margin)
    return positive, negative
