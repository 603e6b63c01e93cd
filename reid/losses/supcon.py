"""Supervised contrastive learning."""

from typing import Annotated

import torch
from torch import Tensor

from reid.losses.pairs import PairLoss, only
from reid.losses.registry import LOSSES
from reid.utils.checks import Range, check_range


@LOSSES.register("supcon")
class SupervisedContrastive(PairLoss):
    """Cross entropy of each positive against all other images, averaged over the positives.

    Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equation 2 (the sum
    over positives is outside of the logarithm), on cosines. The temperature 0.1 is the paper's.
    Differs: the authors' code multiplies the loss by temperature / 0.07; an anchor without a
    positive is left out of the mean, as in pytorch-metric-learning.
    Statistics: :class:`reid.losses.pairs.PairLoss`.

    Args:
        temperature: Number that divides the cosines.
        gather: Whether the pairs are searched among the features of all processes, not only of this
            one.

    Raises:
        ArgumentError: The temperature is not in its range.
    """

    def __init__(
        self, temperature: Annotated[float, Range(0.001, 1000)] = 0.1, gather: bool = False
    ) -> None:
        super().__init__(gather)
        check_range("temperature", temperature, 0.001, 1000)
        self.temperature = temperature

    def cost(self, compared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Returns the cost (B,) of cosines (B, N).

        Args:
            compared: (B, N) cosines.
            positive: (B, N) bool.
            negative: (B, N) bool.
        """
        logits = compared / self.temperature
        all_others = only(logits, positive | negative).logsumexp(1, keepdim=True)
        of_positives = torch.where(positive, all_others - logits, 0).sum(1)
        return of_positives / positive.sum(1).clamp(min=1)
