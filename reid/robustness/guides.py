"""What an attacker knows of the other side: features to push away from, and to be drawn to.

For attacked queries the other side is the gallery, for an attacked gallery the queries.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from reid.data.records import JUNK_PID
from reid.evaluation.features import Features
from reid.utils.errors import InputError


class GuideSet(NamedTuple):
    """Some features for each image of a batch, as the sums that a sum of squares needs.

    Attributes:
        total: (B, D) sum of an image's guides.
        number: (B,) how many they are; an image may have none.
        energy: (B,) sum of their squared lengths.
    """

    total: Tensor
    number: Tensor
    energy: Tensor

    def squared_distances(self, feats: Tensor) -> Tensor:
        """Returns, (B,), the sum over an image's guides g of |f - g|^2."""
        products = (feats * self.total).sum(1)
        return self.number * feats.square().sum(1) - 2 * products + self.energy


class Guides:
    """The other side's features.

    Args:
        side: Features of all its images, clean.
        seed: Of the identities that targeted attacks draw.
        before: (N, D) features of the attacked side, clean, where they are known already: a pass
            that no attack has to pay for again.
        distractor_pid: The pid of images that show nobody who is searched for.

    Raises:
        InputError: Fewer than two identities.
    """

    def __init__(
        self,
        side: Features,
        seed: int = 0,
        before: Tensor | None = None,
        distractor_pid: int | None = None,
    ) -> None:
        self.feats, self.seed, self.before = side.feats, seed, before
        device = side.feats.device
        self.pids, self.camids = (torch.from_numpy(x).to(device) for x in (side.pids, side.camids))
        nobody = [JUNK_PID] if distractor_pid is None else [JUNK_PID, distractor_pid]
        known = side.pids[~np.isin(side.pids, nobody)]
        self.identities = torch.from_numpy(np.unique(known)).to(device)
        if len(self.identities) < 2:
            raise InputError(
                f"an attack needs two identities to confuse, found {len(self.identities)}"
            )

    @cached_property
    def centroids(self) -> Tensor:
        """(I, D) mean features of ``identities``."""
        members = (self.identities[:, None] == self.pids).to(self.feats.dtype)
        return members @ self.feats / members.sum(1, keepdim=True)

    def own(self, pids: Tensor, camids: Tensor) -> GuideSet:
        """Returns the true matches of (B,) images: the same identity in another camera.

        Args:
            pids: (B,) int64.
            camids: (B,) int64.
        """
        same = pids[:, None] == self.pids
        return self._sum(same & (camids[:, None] != self.camids))

    def nearest(self, feats: Tensor, pids: Tensor, camids: Tensor, k: int) -> GuideSet:
        """Returns the k images nearest to the clean features, (B, D), among those that the protocol
        ranks.

        Args:
            feats: (B, D) clean features.
            pids: (B,) int64.
            camids: (B,) int64.
            k: How many.
        """
        dist = torch.cdist(feats, self.feats)
        same = (pids[:, None] == self.pids) & (camids[:, None] == self.camids)
        dist[same | (self.pids == JUNK_PID)] = torch.inf
        chosen = torch.zeros_like(same)
        chosen.scatter_(1, dist.topk(min(k, len(self.feats)), 1, largest=False).indices, True)
        return self._sum(chosen & dist.isfinite())

    def of_identity(self, pids: Tensor) -> GuideSet:
        """Returns all images of each of (B,) identities."""
        return self._sum(pids[:, None] == self.pids)

    def furthest_centroid(self, feats: Tensor, pids: Tensor) -> Tensor:
        """Returns, (B, D), the mean feature of the other identity whose mean is furthest away.

        Args:
            feats: (B, D) clean features.
            pids: (B,) int64.
        """
        dist = torch.cdist(feats, self.centroids)
        dist[pids[:, None] == self.identities] = -1
        return self.centroids[dist.argmax(1)]

    def targets(self, pids: Tensor, indices: Tensor) -> Tensor:
        """Draws another identity for each image.

        Returns (B,) pids. It depends on the image's position alone.

        Args:
            pids: (B,) int64.
            indices: (B,) int64, position in the split.
        """
        uniform = [np.random.default_rng((self.seed, i)).random() for i in indices.tolist()]
        place = torch.tensor(uniform, dtype=torch.float64, device=self.pids.device)
        own = torch.searchsorted(self.identities, pids)
        known = self.identities[own.clamp(max=len(self.identities) - 1)] == pids
        step = (place * (len(self.identities) - known.long())).long()
        return self.identities[(own + known.long() + step) % len(self.identities)]

    def _sum(self, chosen: Tensor) -> GuideSet:
        weight = chosen.to(self.feats.dtype)
        energy = weight @ self.feats.square().sum(1)
        return GuideSet(weight @ self.feats, weight.sum(1), energy)


@dataclass(frozen=True)
class Case:
    """The images of a batch as their attacker sees them.

    Attributes:
        pids: (B,) int64.
        camids: (B,) int64.
        indices: (B,) int64, position in the split.
        guides: The other side.
    """

    pids: Tensor
    camids: Tensor
    indices: Tensor
    guides: Guides

    def clean_feats(self, embed: nn.Module, clean: Tensor) -> Tensor:
        """Returns the features of the clean images, (B, D), by a pass only if they are unknown.

        Args:
            embed: The model that the attacker sees.
            clean: (B, 3, H, W) in [0, 1].
        """
        if self.guides.before is not None:
            return self.guides.before[self.indices]
        with torch.no_grad():
            return embed(clean)
