"""Evaluates retrieval with one side perturbed, with the same code as clean retrieval."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from reid.evaluation.distance import distance_to
from reid.evaluation.features import Embedding, Features, extract
from reid.evaluation.retrieval import Retrieval
from reid.evaluation.verification import verification_rates
from reid.robustness.attack import Perturber, RetrievalAttack, counted, frozen
from reid.robustness.attacks.universal import Universal
from reid.robustness.guides import Guides
from reid.robustness.result import Result
from reid.robustness.rngs import ImageRNGs
from reid.robustness.universal import UniversalPerturber
from reid.utils.batch import Batch

Perturb = Callable[[Tensor, Batch], Tensor]


@dataclass
class RobustEvaluator:
    """Evaluates a model on clean, attacked and corrupted images.

    Attributes:
        embed: The model that is evaluated.
        query: Loader of the queries.
        gallery: Loader of the gallery.
        device: Device of the model.
        protocol: The rankings to compute.
        side: The side that is perturbed, "query" or "gallery".
        seed: Seed of all random numbers.
        on_grid: Whether perturbed images are rounded to 8 bits.
        known_gallery: Clean features of the gallery; None computes them.
        distractor_pid: The pid of gallery images that show nobody who is searched for.
        pictures: (Q,) and (G,) int64, the same for the same picture; None: not known.
        thresholds: Cosine similarities above which two images are taken for one person, by the
            name of their false-accept rate on clean images; results have the rates under attack.
        clean: Clean features of both sides, by "query" and "gallery".
        last: Features of both sides under the latest attack.
    """

    embed: Embedding
    query: Iterable[Batch]
    gallery: Iterable[Batch]
    device: torch.device
    protocol: Retrieval
    side: str = "query"
    seed: int = 0
    on_grid: bool = True
    known_gallery: Features | None = None
    distractor_pid: int | None = None
    pictures: tuple[np.ndarray, np.ndarray] | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    clean: dict[str, Features] = field(init=False)
    last: dict[str, Features] = field(init=False)

    def __post_init__(self) -> None:
        gallery = self.known_gallery
        if gallery is None:
            gallery = extract(self.embed, self.gallery, self.device)
        query = extract(self.embed, self.query, self.device)
        numbers = self.pictures or (None, None)
        self.clean = self.last = {
            "query": query._replace(pictures=numbers[0]),
            "gallery": gallery._replace(pictures=numbers[1]),
        }

    def guides(self, attacker: Embedding) -> Guides:
        """Returns the features of the other side, computed by the model that the attacker sees."""
        if attacker is self.embed:
            sides = self.clean
        else:
            sides = features_of(attacker, self.query, self.gallery, self.device)
            sides = {k: v._replace(pictures=self.clean[k].pictures) for k, v in sides.items()}
        other = "gallery" if self.side == "query" else "query"
        before = sides[self.side]
        rule = (self.protocol.protocol, before.pictures, self.protocol.metric)
        return Guides(sides[other], self.seed, before.feats, self.distractor_pid, *rule)

    def untouched(self) -> list[Result]:
        """Returns the results on clean images, one for each ranking."""
        return self._results("clean", "clean", 0.0, self.clean, {})

    def attacked(
        self,
        attack: RetrievalAttack,
        attacker: Embedding,
        guides: Guides,
        see: Callable[[Tensor, Batch], None] | None = None,
        protocol: Retrieval | None = None,
    ) -> list[Result]:
        """Runs an attack and returns its results, one for each ranking.

        Args:
            attack: The attack.
            attacker: The model that the attacker sees; ``self.embed`` in a white-box attack.
            guides: The other side, from :meth:`guides` with ``attacker``.
            see: Called with the perturbed images, (B, 3, H, W) in [0, 1], and the batch.
            protocol: Rankings to compute instead of those of the evaluator. Which matches count
                is up to the evaluator's protocol.
        """
        kind = UniversalPerturber if isinstance(attack.method, Universal) else Perturber
        stops = attack.early_stop and attacker is self.embed and self._plain_queries()
        attack = replace(attack, early_stop=stops)
        perturber = kind(attack, attacker, guides, self.seed, self.on_grid)

        def perturb(images: Tensor, batch: Batch) -> Tensor:
            images = perturber(images, batch)
            if see is not None:
                see(images, batch)
            return images

        start = time.perf_counter()
        with frozen(attacker), counted(attacker.model) as passes:
            if isinstance(perturber, UniversalPerturber):
                perturber.learn(self._attacked_side(), self.device)
            self.last = self.perturbed(perturb, f"{attack.title} {attack.eps_255:g}/255")
        facts = {"seconds": time.perf_counter() - start, "change": perturber.change}
        facts["passes"] = passes.gradients / max(1, perturber.attacked)
        if attack.objective is not None and attack.objective.targeted:
            facts["reached"] = self._reached(self.last, guides)
        return self._results("attack", attack.title, attack.eps_255, self.last, facts, protocol)

    def first_hits(
        self, sides: dict[str, Features], rows: Sequence[int], count: int = 5
    ) -> list[np.ndarray]:
        """Returns, for some queries, the first gallery indices of the plain ranking, (K,) int64.

        Junk is left out, as in the protocol. K is ``count``, or less if the ranking is shorter.

        Args:
            sides: Features of both sides, by "query" and "gallery".
            rows: Indices of the queries.
            count: Number of hits per query.
        """
        gallery = sides["gallery"]
        found = []
        matches = self.protocol.matches(sides["query"], gallery)
        distance = distance_to(gallery.feats, self.protocol.metric)
        for row in rows:
            dist = distance(sides["query"].feats[row : row + 1])[0].cpu().numpy()
            *_, junk = matches.pairs(row, row + 1)
            dist[junk] = dist[matches.junk_for_all] = np.inf
            best = np.argsort(dist, kind="stable")[:count]
            found.append(best[np.isfinite(dist[best])])
        return found

    def corrupted(self, name: str, severity: int, corrupt: Callable[..., Tensor]) -> list[Result]:
        """Applies a natural corruption and returns its results, one for each ranking.

        Args:
            name: Name of the corruption.
            severity: 1 to 5.
            corrupt: Maps (images, severity, rngs) to images, both (B, 3, H, W) in [0, 1].
        """
        start = time.perf_counter()

        def perturb(images: Tensor, batch: Batch) -> Tensor:
            rngs = ImageRNGs(self.seed, batch.indices.tolist())
            changed = corrupt(images, severity, rngs.generators)
            return (changed * 255).round().div(255) if self.on_grid else changed

        sides = self.perturbed(perturb, f"{name} {severity}")
        facts = {"seconds": time.perf_counter() - start}
        return self._results("corruption", name, severity, sides, facts)

    def perturbed(self, perturb: Perturb, title: str) -> dict[str, Features]:
        """Returns the features of both sides, with :attr:`side` perturbed.

        Args:
            perturb: Maps (images, batch) to images, both (B, 3, H, W) in [0, 1].
            title: Title of the progress batches.
        """
        batches = tqdm(self._attacked_side(), title, leave=False, disable=None, unit="batch")
        feats = extract(self.embed, batches, self.device, perturb).feats
        return {**self.clean, self.side: self.clean[self.side]._replace(feats=feats)}

    def _plain_queries(self) -> bool:
        """Returns whether the ranking of an attacked image is the only one that is scored."""
        more = self.protocol.rerank is not None or self.protocol.expansion is not None
        return self.side == "query" and not more

    def _attacked_side(self) -> Iterable[Batch]:
        return self.query if self.side == "query" else self.gallery

    def _results(
        self,
        kind: str,
        name: str,
        level: float,
        sides: dict[str, Features],
        facts: dict[str, float],
        protocol: Retrieval | None = None,
    ) -> list[Result]:
        pids = sides["query"].pids
        chosen = replace(protocol or self.protocol, protocol=self.protocol.protocol)
        rankings = chosen.rankings(sides["query"], sides["gallery"])
        known = {"plain": {**facts, **self._accepted(sides)}}
        return [
            Result.of(kind, name, level, t, ranking, pids, known.get(t, facts))
            for t, ranking in rankings
        ]

    def _accepted(self, sides: dict[str, Features]) -> dict[str, float]:
        """Returns how many pairs pass each threshold, such as "found_at_0.001" and "false_at_..."""
        if not self.thresholds:
            return {}
        both = (sides["query"], sides["gallery"], self.protocol.protocol)
        rates = verification_rates(*both, list(self.thresholds.values()))
        return {
            f"{key}_at_{name}": rate[key]
            for name, rate in zip(self.thresholds, rates, strict=True)
            for key in ("threshold", "false", "found", "passed", "lost")
        }

    def _reached(self, sides: dict[str, Features], guides: Guides) -> float:
        """Returns the fraction of attacked queries whose first hit is their target identity."""
        if self.side == "gallery":
            return float("nan")  # each gallery image has a target of its own; queries have none
        pids = torch.from_numpy(sides["query"].pids).to(self.device)
        targets = guides.targets(pids, torch.arange(len(pids), device=self.device)).cpu().numpy()
        attacked = torch.isin(pids, guides.identities).cpu().numpy()
        hits = self.first_hits(sides, range(len(pids)), count=1)
        found = np.array([sides["gallery"].pids[hit[0]] if len(hit) else 0 for hit in hits])
        return float((found == targets)[attacked].mean())


def features_of(
    embed: Embedding, query: Iterable[Batch], gallery: Iterable[Batch], device: torch.device
) -> dict[str, Features]:
    """Returns the clean features of both sides, by "query" and "gallery".

    Args:
        embed: The model that computes them.
        query: Loader of the queries.
        gallery: Loader of the gallery side.
        device: Device of the model.
    """
    sides = {"query": query, "gallery": gallery}
    return {name: extract(embed, loader, device) for name, loader in sides.items()}
