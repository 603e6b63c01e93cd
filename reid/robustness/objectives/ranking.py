"""Objectives that know the ranking: they move wrong images of the other side before right ones."""

import torch
from torch import Tensor

from reid.evaluation.features import Embedding
from reid.robustness.attacks.base import Loss
from reid.robustness.guides import Case
from reid.robustness.objectives.base import Objective
from reid.robustness.objectives.registry import OBJECTIVES
from reid.robustness.rankings import RankingLoss, Rankings
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import Count, Scale, check_count, check_range

OUT = -1e30  # of similarities that do not count; finite, so that no gradient is NaN
AT_A_TIME = 2**22  # numbers of a block of pairs x gallery, 16 MB


@OBJECTIVES.register("margin")
class Margin(Objective):
    """log-sum-exp of the similarities to wrong images, less that of those to right ones.

    Both are divided by the temperature t: log sum_wrong exp(s / t) - log sum_right exp(s / t). The
    nearest images count most, so that it works on the first places of the ranking.

    Args:
        temperature: t, in units of the cosine similarity.
    """

    knows_ranking = True

    def __init__(self, temperature: Scale = 0.05) -> None:
        check_range("temperature", temperature, 0, above=True)
        self.temperature = temperature
        self.neighbors = 1

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the margin (B,) of (B, 3, H, W) images, to be maximised.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        return RankingLoss(embed, case.rankings(self.neighbors), self.value)

    def value(self, similarities: Tensor, rankings: Rankings) -> Tensor:
        """Returns the margin of each ranking, (B,); 0 for one without right or wrong images.

        Args:
            similarities: (B, G).
            rankings: Which are right.
        """
        scaled = similarities / self.temperature
        wrong = scaled.masked_fill(~rankings.wrong, OUT).logsumexp(1)
        right = scaled.masked_fill(~rankings.right, OUT).logsumexp(1)
        both = rankings.wrong.any(1) & rankings.right.any(1)
        return torch.where(both, wrong - right, 0)


@OBJECTIVES.register("smooth_ap")
class SmoothAP(Objective):
    """Minus a smooth average precision, in which each comparison of two ranks is a sigmoid.

    AP is the mean over right images i of (1 + R_i) / (1 + R_i + W_i), where R_i and W_i count the
    other right images and the wrong ones before i. Here "before" is sigmoid((s_j - s_i) / t).

    Source: Brown et al., "Smooth-AP: Smoothing the Path Towards Large-Scale Image Retrieval",
    ECCV 2020, arXiv:2007.12163; there it is raised in training.

    Args:
        temperature: t, in units of the cosine similarity.
    """

    knows_ranking = True

    def __init__(self, temperature: Scale = 0.02) -> None:
        check_range("temperature", temperature, 0, above=True)
        self.temperature = temperature
        self.neighbors = 1

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns minus the smooth AP (B,) of (B, 3, H, W) images, to be maximised.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        return RankingLoss(embed, case.rankings(self.neighbors), self.value)

    def value(self, similarities: Tensor, rankings: Rankings) -> Tensor:
        """Returns minus the smooth AP of each ranking, (B,); 0 for one without a right image.

        It compares each right image with the whole gallery. Value and gradient are summed over
        blocks of these pairs, so that memory does not grow with the number of right images.

        Args:
            similarities: (B, G).
            rankings: Which are right.
        """
        fixed = similarities.detach()
        rows, columns = rankings.right.nonzero(as_tuple=True)
        share = 1 / rankings.right.sum(1).clamp(min=1).to(fixed.dtype)
        total = torch.zeros_like(fixed[:, 0])
        slope = torch.zeros_like(fixed)
        size = max(1, AT_A_TIME // fixed.shape[1])
        for r, c in zip(rows.split(size), columns.split(size), strict=True):
            precision, change = self._precision(fixed[r], c, rankings.right[r], rankings.wrong[r])
            total.index_add_(0, r, precision)
            slope.index_add_(0, r, change)
            slope.index_put_((r, c), -change.sum(1), accumulate=True)
        # The value of the sum; its derivative is the slope.
        return -share * (total + (slope * (similarities - fixed)).sum(1))

    def _precision(
        self, similarities: Tensor, column: Tensor, right: Tensor, wrong: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the smooth precision, (M,), at each right image, and its derivative, (M, G).

        The derivative is that with respect to s_j - s_i, the differences to the right image.

        Args:
            similarities: (M, G).
            column: (M,) int64, the right image i.
            right: (M, G) bool.
            wrong: (M, G) bool.
        """
        before = similarities - similarities.gather(1, column[:, None])
        before = before.div_(self.temperature).sigmoid_()
        # The image itself is among them with sigmoid(0) = 1/2.
        num_right = torch.where(right, before, 0).sum(1, keepdim=True) + 0.5
        num_wrong = torch.where(wrong, before, 0).sum(1, keepdim=True)
        number = num_right + num_wrong
        change = torch.where(right, num_wrong, torch.where(wrong, -num_right, 0))
        change *= before * (1 - before) / (self.temperature * number.square())
        return (num_right / number)[:, 0], change


@OBJECTIVES.register("margin_neighbors")
class NeighborhoodMargin(Margin):
    """``margin`` against re-ranking: each gallery image stands for its neighbourhood.

    k-reciprocal re-ranking brings back a right image whose neighbours are near the query. So each
    image of the other side is replaced by the mean feature of its k nearest images there.

    Args:
        temperature: As in ``margin``.
        k: Number of nearest images, the image itself included; it corresponds to k2 of the
            re-ranking.
    """

    knows_ranking = False  # of the ranking that the neighbourhoods give, AP says little

    def __init__(self, temperature: Scale = 0.05, k: Count = 6) -> None:
        super().__init__(temperature)
        check_count("k", k)
        self.neighbors = k


@OBJECTIVES.register("smooth_ap_neighbors")
class NeighborhoodSmoothAP(SmoothAP):
    """``smooth_ap`` against re-ranking, as ``margin_neighbors`` is ``margin`` against it.

    Args:
        temperature: As in ``smooth_ap``.
        k: As in ``margin_neighbors``.
    """

    knows_ranking = False

    def __init__(self, temperature: Scale = 0.02, k: Count = 6) -> None:
        super().__init__(temperature)
        check_count("k", k)
        self.neighbors = k
