"""The ranking of the other side by each attacked image, as the attacker sees it.

If queries are attacked, it is the plain ranking that the evaluation scores. If the gallery is
attacked, each attacked image ranks the queries, so that right queries stand for right images.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reid.evaluation.features import Embedding

# An attack leaves an image alone when its AP can fall by no more: 0.05 points.
SLACK = 5e-4

# (B, G) similarities and the marks of B rankings -> (B,) values, to be maximised
Formula: TypeAlias = Callable[[Tensor, "Rankings"], Tensor]


@dataclass(frozen=True)
class Rankings:
    """The images that B attacked images rank, and which of them are right.

    Attributes:
        feats: (G, D) features of the other side.
        right: (B, G) bool, the true matches that the protocol counts.
        wrong: (B, G) bool, the images of others. What is neither is junk, which no ranking has.
        cosine: Whether the length of a feature means nothing, as under TEST.METRIC cosine.
    """

    feats: Tensor
    right: Tensor
    wrong: Tensor
    cosine: bool = False

    def similarities(self, feats: Tensor) -> Tensor:
        """Returns (B, G) similarities of (B, D) features, which order as the distances do.

        It is ``f g - g^2 / 2``, which differs from ``-|f - g|^2 / 2`` by a number that is the same
        for all g, in units of the mean g^2. With features of length 1 it is the cosine, less a
        constant.
        """
        if self.cosine:
            feats = normalize(feats)
        scaled, offset = self._scaled
        return torch.addmm(offset, feats, scaled)

    @cached_property
    def _scaled(self) -> tuple[Tensor, Tensor]:
        """(D, G) features and (G,) numbers that make similarities; the same for every call."""
        energy = self.feats.square().sum(1)
        return self.feats.T / energy.mean(), -energy / (2 * energy.mean())

    def average_precision(self, similarities: Tensor) -> Tensor:
        """Returns the AP of each ranking, (B,), as the evaluation has it; 0 without a match.

        Args:
            similarities: (B, G).
        """
        ranked = similarities.masked_fill(~(self.right | self.wrong), -torch.inf)
        order = ranked.argsort(dim=1, descending=True, stable=True)
        right = self.right.gather(1, order)
        places = torch.arange(1, right.shape[1] + 1, device=right.device)
        found = right.cumsum(1) / places * right
        return found.sum(1) / right.sum(1).clamp(min=1)

    def hopeless(self, similarities: Tensor) -> Tensor:
        """Returns, (B,) bool, whether AP can fall by no more than :data:`SLACK`.

        With b wrong images before the first right one, AP is at most that of a ranking in which
        the right ones follow at once, and it is never less than that of b = all wrong images.

        Args:
            similarities: (B, G).
        """
        first = similarities.masked_fill(~self.right, -torch.inf).amax(1, keepdim=True)
        before = (self.wrong & (similarities > first)).sum(1)
        number = self.right.sum(1)
        most = _ap_behind(before, number) - _ap_behind(self.wrong.sum(1), number)
        return most <= SLACK


def _ap_behind(wrong: Tensor, right: Tensor) -> Tensor:
    """Returns the AP of ``right`` images in a row behind ``wrong`` ones, (B,) float64.

    It is the mean over k = 1..right of k / (wrong + k) = 1 - wrong / (wrong + k); the sum of
    1 / (wrong + k) is a difference of two digamma functions.

    Args:
        wrong: (B,) int64.
        right: (B,) int64; 0 gives 0.
    """
    w, r = wrong.double(), right.double()
    harmonic = torch.digamma(w + r + 1) - torch.digamma(w + 1)
    return torch.where(right > 0, 1 - w * harmonic / r.clamp(min=1), 0)


@dataclass
class RankingLoss:
    """A loss of rankings: (B, 3, H, W) in [0, 1] -> (B,).

    Attributes:
        embed: The model that the attacker sees.
        rankings: What the images rank.
        formula: The loss.
        finished: (B,) bool, which images of the latest call cannot get worse; None before.
    """

    embed: Embedding
    rankings: Rankings
    formula: Formula
    finished: Tensor | None = field(default=None, init=False)

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the loss of each image, (B,), of (B, 3, H, W) in [0, 1]."""
        similarities = self.rankings.similarities(self.embed(images))
        self.finished = self.rankings.hopeless(similarities.detach())
        return self.formula(similarities, self.rankings)


@dataclass
class WorstAP:
    """Minus the AP of each image's ranking: what an attacker who knows the ranking compares by.

    Attributes:
        embed: The model that the attacker sees.
        rankings: What the images rank.
        finished: As in :class:`RankingLoss`.
    """

    embed: Embedding
    rankings: Rankings
    finished: Tensor | None = field(default=None, init=False)

    def __call__(self, images: Tensor) -> Tensor:
        """Returns -AP, (B,), of (B, 3, H, W) in [0, 1]."""
        similarities = self.rankings.similarities(self.embed(images))
        self.finished = self.rankings.hopeless(similarities)
        return -self.rankings.average_precision(similarities)
