"""Retrieval with one side perturbed, through the code that evaluates it clean."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from reid.data.records import JUNK_PID
from reid.evaluation.distance import pairwise_distance
from reid.evaluation.features import Embedding, Features, extract
from reid.evaluation.ranking import Ranking, evaluate_features
from reid.evaluation.retrieval import Retrieval
from reid.robustness.attack import Attack, Perturber, frozen
from reid.robustness.draws import Draws
from reid.robustness.guides import Guides
from reid.robustness.outcome import Outcome
from reid.utils.batch import Batch

Perturb = Callable[[Tensor, Batch], Tensor]


@dataclass
class Trial:
    """A model, its images, and which side is perturbed.

    Attributes:
        embed: The model that is evaluated.
        query: Loader of the query side.
        gallery: Loader of the gallery side.
        device: Of the model.
        how: The rankings to make.
        side: "query" or "gallery": which is perturbed.
        seed: Of every random draw.
        on_grid: Round perturbed images to 8 bits.
        clean: Features of both sides, unperturbed.
        last: Features of both sides under the attack run last.
    """

    embed: Embedding
    query: Iterable[Batch]
    gallery: Iterable[Batch]
    device: torch.device
    how: Retrieval
    side: str = "query"
    seed: int = 0
    on_grid: bool = True
    clean: dict[str, Features] = field(init=False)
    last: dict[str, Features] = field(init=False)

    def __post_init__(self) -> None:
        self.clean = self.last = features_of(self.embed, self.query, self.gallery, self.device)

    def guides(self, eye: Embedding) -> Guides:
        """Returns the other side as the model that the attacker sees describes it."""
        own = eye is self.embed
        sides = self.clean if own else features_of(eye, self.query, self.gallery, self.device)
        other = "gallery" if self.side == "query" else "query"
        return Guides(sides[other], self.seed, sides[self.side].feats)

    def untouched(self) -> list[Outcome]:
        """Returns the outcomes without an attack, one a ranking."""
        return self._outcomes("clean", "clean", 0.0, self.clean, {})

    def attacked(
        self,
        attack: Attack,
        eye: Embedding,
        guides: Guides,
        see: Callable[[Tensor, Batch], None] | None = None,
    ) -> list[Outcome]:
        """Runs an attack and returns its outcomes, one a ranking.

        Args:
            attack: What is done.
            eye: The model that the attacker sees; ``self.embed`` in a white-box attack.
            guides: The other side by ``eye``; see :meth:`guides`.
            see: Called with each perturbed batch, images in [0, 1].
        """
        perturber = Perturber(attack, eye, guides, self.seed, self.on_grid)

        def perturb(images: Tensor, batch: Batch) -> Tensor:
            images = perturber(images, batch)
            if see is not None:
                see(images, batch)
            return images

        start = time.perf_counter()
        with frozen(eye):
            self.last = self.perturbed(perturb, f"{attack.name} {attack.eps_255:g}/255")
        facts = {"seconds": time.perf_counter() - start, "change": perturber.change}
        if attack.objective is not None and attack.objective.targeted:
            facts["reached"] = self._reached(self.last, guides)
        return self._outcomes("attack", attack.name, attack.eps_255, self.last, facts)

    def first_hits(self, sides: dict[str, Features], rows: int, count: int = 5) -> list[np.ndarray]:
        """Returns the gallery positions that lead the plain ranking of the first queries.

        Junk is left out, as in the protocol; fewer than ``count`` where nothing else is left.
        """
        query, gallery = sides["query"], sides["gallery"]
        dist = pairwise_distance(query.feats[:rows], gallery.feats, self.how.metric).cpu().numpy()
        same = query.pids[:rows, None] == gallery.pids
        junk = same & (query.camids[:rows, None] == gallery.camids) | (gallery.pids == JUNK_PID)
        dist[junk] = np.inf
        order = np.argsort(dist, axis=1, kind="stable")[:, :count]
        return [best[np.isfinite(d[best])] for best, d in zip(order, dist, strict=True)]

    def corrupted(self, name: str, severity: int, corrupt: Callable[..., Tensor]) -> list[Outcome]:
        """Applies a natural corruption (images, severity, rngs) and returns its outcomes."""
        start = time.perf_counter()

        def perturb(images: Tensor, batch: Batch) -> Tensor:
            draws = Draws(self.seed, batch.indices.tolist())
            changed = corrupt(images, severity, draws.rngs)
            return (changed * 255).round().div(255) if self.on_grid else changed

        sides = self.perturbed(perturb, f"{name} {severity}")
        facts = {"seconds": time.perf_counter() - start}
        return self._outcomes("corruption", name, severity, sides, facts)

    def perturbed(self, perturb: Perturb, title: str) -> dict[str, Features]:
        """Returns the features of both sides, one of them of perturbed images."""
        loader = self.query if self.side == "query" else self.gallery
        bar = tqdm(loader, title, leave=False, disable=None, unit="batch")
        return {**self.clean, self.side: extract(self.embed, bar, self.device, perturb)}

    def _outcomes(
        self,
        kind: str,
        name: str,
        level: float,
        sides: dict[str, Features],
        facts: dict[str, float],
    ) -> list[Outcome]:
        pids = sides["query"].pids
        return [
            Outcome.of(kind, name, level, title, ranking, pids, facts)
            for title, ranking in self.how.rankings(sides["query"], sides["gallery"])
        ]

    def _reached(self, sides: dict[str, Features], guides: Guides) -> float:
        """Share of the queries whose first hit is the identity that they were pulled to."""
        query, gallery = sides["query"], sides["gallery"]
        pids, nobody = torch.from_numpy(query.pids), -np.ones_like(query.camids)
        if self.side == "gallery":
            return float("nan")  # the queries did not move, and each image had its own target
        indices = torch.arange(len(pids))
        targets = guides.targets(pids.to(self.device), indices).cpu().numpy()
        ids = (targets, gallery.pids, nobody, gallery.camids)
        ranking: Ranking = evaluate_features(query.feats, gallery.feats, *ids, self.how.metric)
        return float(ranking.cmc[0])


def features_of(
    embed: Embedding, query: Iterable[Batch], gallery: Iterable[Batch], device: torch.device
) -> dict[str, Features]:
    """Returns the clean features of both sides by a model."""
    sides = {"query": query, "gallery": gallery}
    return {name: extract(embed, loader, device) for name, loader in sides.items()}
