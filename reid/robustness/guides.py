"""Features of the other side, which guide an attack: it moves away from them or towards them.

If queries are attacked, the other side is the gallery; if the gallery is attacked, the queries.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from reid.data.records import JUNK_PID
from reid.evaluation.features import Features
from reid.evaluation.protocol import CROSS_CAMERA, check_protocol
from reid.robustness.rankings import Rankings
from reid.utils.errors import ArgumentError, InputError

NEIGHBORS_AT_A_TIME = 1024  # rows of a matrix of distances within the other side


class GuideSet(NamedTuple):
    """A set of guide features for each image, stored as the sums that squared distances need.

    Attributes:
        total: (B, D) sum of the guides of each image.
        number: (B,) number of guides of each image, 0 or more.
        energy: (B,) sum of the squared lengths of the guides.
    """

    total: Tensor
    number: Tensor
    energy: Tensor

    def squared_distances(self, feats: Tensor) -> Tensor:
        """Returns, (B,), the sum over the guides g of an image of ``|f - g|^2``; f is (B, D)."""
        products = (feats * self.total).sum(1)
        return self.number * feats.square().sum(1) - 2 * products + self.energy


class Guides:
    """The features of the other side, and the guides that they give to attacked images.

    Args:
        side: Clean features of all images of the other side.
        seed: Seed of the identities that targeted attacks draw.
        before: (N, D) clean features of the attacked side; None computes them when an attack needs
            them.
        distractor_pid: The pid of images that show nobody who is searched for; None if there is
            none.
        protocol: Which images of the same identity are left out, as in the ranking; see
            :mod:`reid.evaluation.protocol`.
        pictures: (N,) int64 numbers of the pictures of the attacked side, for ``any_camera``; None:
            not known.
        metric: The distance of the ranking, "euclidean", "sqeuclidean" or "cosine".

    Raises:
        InputError: The other side shows fewer than two identities.
    """

    def __init__(
        self,
        side: Features,
        seed: int = 0,
        before: Tensor | None = None,
        distractor_pid: int | None = None,
        protocol: str = CROSS_CAMERA,
        pictures: np.ndarray | None = None,
        metric: str = "euclidean",
    ) -> None:
        self.feats = side.feats
        self.cosine = metric == "cosine"
        # What is ranked, by the number of neighbours of which it is the mean.
        self._means = {1: normalize(side.feats) if self.cosine else side.feats}
        self.seed = seed
        self.before = before
        device = side.feats.device
        self.pids, self.camids = (torch.from_numpy(x).to(device) for x in (side.pids, side.camids))
        check_protocol(protocol)
        self.protocol = protocol
        self._pictures: tuple[Tensor, Tensor] | None = None
        if side.pictures is not None and pictures is not None:
            own, other = (torch.from_numpy(x).to(device) for x in (pictures, side.pictures))
            self._pictures = (own, other)
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

    def matches(self, pids: Tensor, camids: Tensor, indices: Tensor | None = None) -> GuideSet:
        """Returns the true matches of B images: those of the same identity that a ranking counts.

        Args:
            pids: (B,) int64 identities.
            camids: (B,) int64 cameras.
            indices: (B,) int64 positions in the split; ``any_camera`` knows pictures by them.

        Raises:
            ArgumentError: ``indices`` are missing where the protocol needs them.
        """
        same = pids[:, None] == self.pids
        return self._sum(same & ~self._same_key(camids, indices))

    def rankings(
        self, pids: Tensor, camids: Tensor, indices: Tensor | None = None, neighbors: int = 1
    ) -> Rankings:
        """Returns what B images rank, with right and wrong as the protocol has them.

        Args:
            pids: (B,) int64 identities.
            camids: (B,) int64 cameras.
            indices: (B,) int64 positions in the split; ``any_camera`` knows pictures by them.
            neighbors: Each image of the other side is replaced by the mean of so many nearest ones
                there, itself included; 1 changes nothing.

        Raises:
            ArgumentError: ``indices`` are missing where the protocol needs them.
        """
        same = pids[:, None] == self.pids
        right = same & ~self._same_key(camids, indices)
        wrong = ~same & (self.pids != JUNK_PID)
        return Rankings(self._smoothed(neighbors), right, wrong, self.cosine)

    def nearest(
        self,
        feats: Tensor,
        pids: Tensor,
        camids: Tensor,
        k: int,
        indices: Tensor | None = None,
    ) -> GuideSet:
        """Returns the k images nearest to the clean features, among those that the protocol ranks.

        Args:
            feats: (B, D) clean features.
            pids: (B,) int64 identities.
            camids: (B,) int64 cameras.
            k: Number of images.
            indices: (B,) int64 positions in the split; ``any_camera`` knows pictures by them.

        Raises:
            ArgumentError: ``indices`` are missing where the protocol needs them.
        """
        dist = torch.cdist(feats, self.feats)
        same = (pids[:, None] == self.pids) & self._same_key(camids, indices)
        dist[same | (self.pids == JUNK_PID)] = torch.inf
        chosen = torch.zeros_like(same)
        chosen.scatter_(1, dist.topk(min(k, len(self.feats)), 1, largest=False).indices, True)
        return self._sum(chosen & dist.isfinite())

    def _same_key(self, camids: Tensor, indices: Tensor | None) -> Tensor:
        """Returns, (B, N), which images the protocol leaves out if they are of one identity."""
        if self.protocol == CROSS_CAMERA:
            return camids[:, None] == self.camids
        if self._pictures is None:
            return torch.zeros(
                len(camids), len(self.camids), dtype=torch.bool, device=camids.device
            )
        if indices is None:
            raise ArgumentError(
                "indices", f"are needed under {self.protocol}: hand in case.indices"
            )
        own, other = self._pictures
        return own[indices][:, None] == other

    def of_identity(self, pids: Tensor) -> GuideSet:
        """Returns all images of each identity in ``pids``, (B,) int64."""
        return self._sum(pids[:, None] == self.pids)

    def furthest_centroid(self, feats: Tensor, pids: Tensor) -> Tensor:
        """Returns, (B, D), the mean feature of the other identity whose mean is furthest away.

        Args:
            feats: (B, D) clean features.
            pids: (B,) int64 identities.
        """
        dist = torch.cdist(feats, self.centroids)
        dist[pids[:, None] == self.identities] = -1
        return self.centroids[dist.argmax(1)]

    def targets(self, pids: Tensor, indices: Tensor) -> Tensor:
        """Returns a random other identity for each image, (B,) int64.

        It depends only on the seed, on the position of the image and on its identity.

        Args:
            pids: (B,) int64 identities.
            indices: (B,) int64 positions in the split.
        """
        uniform = [np.random.default_rng((self.seed, i)).random() for i in indices.tolist()]
        fraction = torch.tensor(uniform, dtype=torch.float64, device=self.pids.device)
        position = torch.searchsorted(self.identities, pids)
        known = self.identities[position.clamp(max=len(self.identities) - 1)] == pids
        step = (fraction * (len(self.identities) - known.long())).long()
        return self.identities[(position + known.long() + step) % len(self.identities)]

    def _smoothed(self, neighbors: int) -> Tensor:
        """Returns (N, D) means of the nearest ``neighbors`` features; computed once."""
        if neighbors not in self._means:
            feats = self._means[1]
            count = min(neighbors, len(feats))
            means = [
                feats[torch.cdist(part, feats).topk(count, largest=False).indices].mean(1)
                for part in feats.split(NEIGHBORS_AT_A_TIME)
            ]
            self._means[neighbors] = torch.cat(means)
        return self._means[neighbors]

    def _sum(self, chosen: Tensor) -> GuideSet:
        weight = chosen.to(self.feats.dtype)
        energy = weight @ self.feats.square().sum(1)
        return GuideSet(weight @ self.feats, weight.sum(1), energy)


@dataclass(frozen=True)
class Case:
    """What an attacker knows of the images of a batch.

    Attributes:
        pids: (B,) int64 identities.
        camids: (B,) int64 cameras.
        indices: (B,) int64 positions in the split.
        guides: Features of the other side.
    """

    pids: Tensor
    camids: Tensor
    indices: Tensor
    guides: Guides

    def of(self, rows: Tensor) -> "Case":
        """Returns the case of some of the images, (R,) int64 or (B,) bool."""
        return Case(self.pids[rows], self.camids[rows], self.indices[rows], self.guides)

    def rankings(self, neighbors: int = 1) -> Rankings:
        """Returns what the images rank.

        Args:
            neighbors: See :meth:`Guides.rankings`.
        """
        return self.guides.rankings(self.pids, self.camids, self.indices, neighbors)

    def clean_feats(self, embed: nn.Module, clean: Tensor) -> Tensor:
        """Returns the features of the clean images, (B, D); computes them only if they are unknown.

        Args:
            embed: The model that the attacker sees.
            clean: (B, 3, H, W) in [0, 1].
        """
        if self.guides.before is not None:
            return self.guides.before[self.indices]
        with torch.no_grad():
            return embed(clean)
