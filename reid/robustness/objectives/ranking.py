"""Objectives that know the ranking: they move wrong images of the other side before right ones."""

from abc import abstractmethod

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
AT_A_TIME = 2**22  # numbers of a block of images x right images x gallery, 16 MB


class OfRanking(Objective):
    """An objective that is a value of the similarities between an image and the other side."""

    knows_ranking = True
    neighbors: int = 1  # images of the other side whose mean stands for each of them

    def __call__(self, embed: Embedding, clean: Tensor, case: Case, rngs: ImageRNGs) -> Loss:
        """Returns the value (B,) of (B, 3, H, W) images, to be maximised.

        The arguments are those of :class:`reid.robustness.objectives.base.Objective`.
        """
        return RankingLoss(embed, case.rankings(self.neighbors), self.value)

    @abstractmethod
    def value(self, similarities: Tensor, rankings: Rankings) -> Tensor:
        """Returns the value of each ranking, (B,).

        Args:
            similarities: (B, G).
            rankings: Which are right.
        """


@OBJECTIVES.register("margin")
class Margin(OfRanking):
    """log-sum-exp of the similarities to wrong images, less that of those to right ones.

    Both are divided by the temperature t: log sum_wrong exp(s / t) - log sum_right exp(s / t). The
    nearest images count most, so that it works on the first places of the ranking.

    Args:
        temperature: t, in units of the cosine similarity.
    """

    def __init__(self, temperature: Scale = 0.05) -> None:
        check_range("temperature", temperature, 0, above=True)
        self.temperature = temperature

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
class SmoothAP(OfRanking):
    """Minus a smooth average precision, in which each comparison of two ranks is a sigmoid.

    AP is the mean over right images i of (1 + R_i) / (1 + R_i + W_i), where R_i and W_i count the
    other right images and the wrong ones before i. Here "before" is sigmoid((s_j - s_i) / t).

    Source: Brown et al., "Smooth-AP: Smoothing the Path Towards Large-Scale Image Retrieval",
    ECCV 2020, arXiv:2007.12163; there it is raised in training.

    Args:
        temperature: t, in units of the cosine similarity.
    """

    def __init__(self, temperature: Scale = 0.02) -> None:
        check_range("temperature", temperature, 0, above=True)
        self.temperature = temperature

    def value(self, similarities: Tensor, rankings: Rankings) -> Tensor:
        """Returns minus the smooth AP of each ranking, (B,); 0 for one without a right image.

        It compares each right image with the whole gallery. Value and gradient are summed over
        blocks of right images, so that memory does not grow with their number.

        Args:
            similarities: (B, G).
            rankings: Which are right.
        """
        right, wrong = rankings.right, rankings.wrong
        fixed = similarities.detach()
        scaled = fixed / self.temperature
        marks = torch.stack([right, wrong], 2).to(fixed.dtype)
        number = right.sum(1)
        columns = _padded(right, number)
        total = torch.zeros_like(fixed[:, 0])
        slope = torch.zeros_like(fixed)
        width = max(1, AT_A_TIME // max(1, fixed.numel()))
        for start in range(0, columns.shape[1], width):
            rows = (number > start).nonzero().flatten()
            block = columns[rows, start : start + width]
            places = torch.arange(start, start + block.shape[1], device=fixed.device)
            there = (places < number[rows, None]).to(fixed.dtype)
            values, pulls, own = _precisions(scaled[rows], marks[rows], block, there)
            total.index_add_(0, rows, values)
            slope.index_add_(0, rows, (pulls * marks[rows].transpose(1, 2)).sum(1))
            slope.index_put_((rows[:, None], block), -own, accumulate=True)
        # The value of the sum; its derivative is the slope.
        linear = (slope * (similarities - fixed)).sum(1) / self.temperature
        return -(total + linear) / number.clamp(min=1)


def _padded(right: Tensor, number: Tensor) -> Tensor:
    """Returns the columns of the right images of each row, (B, P) int64, filled up with 0.

    Args:
        right: (B, G) bool.
        number: (B,) int64, how many each row has.
    """
    rows, columns = right.nonzero(as_tuple=True)
    first = number.cumsum(0) - number
    places = torch.arange(len(rows), device=rows.device) - first[rows]
    padded = torch.zeros(len(right), int(number.max()), dtype=torch.int64, device=rows.device)
    padded[rows, places] = columns
    return padded


def _precisions(
    scaled: Tensor, marks: Tensor, block: Tensor, there: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns smooth precisions at right images, summed over a block of them, and derivatives.

    (B,) the sums; (B, 2, G) their derivatives with respect to the similarities s_j / t, for j right
    and j wrong; (B, W) what is to be taken off those of the right images themselves.

    Args:
        scaled: (B, G) similarities / t.
        marks: (B, G, 2), 1 for right and for wrong images.
        block: (B, W) int64 columns of right images.
        there: (B, W), 1 where there is such an image.
    """
    before = (scaled[:, None] - scaled.gather(1, block)[:, :, None]).sigmoid_()
    num_right, num_wrong = before.bmm(marks).unbind(2)
    num_right = num_right + 0.5  # the image itself is among them with sigmoid(0) = 1/2
    number = num_right + num_wrong
    weight = torch.stack([num_wrong, -num_right], 1) * (there / number.square())[:, None]
    change = torch.addcmul(before, before, before, value=-1)  # of the sigmoid
    own = (weight.transpose(1, 2) * change.bmm(marks)).sum(2)
    return (num_right / number * there).sum(1), weight.bmm(change), own


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
