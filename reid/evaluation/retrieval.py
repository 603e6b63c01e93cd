"""All rankings of one set of features: plain, re-ranked, with expanded queries."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from reid.evaluation.counting import Matches
from reid.evaluation.expansion import average_query_expansion, check_expansion, l2_normalize
from reid.evaluation.features import Features, pictures_of
from reid.evaluation.protocol import CROSS_CAMERA, check_protocol
from reid.evaluation.ranking import CHUNK, Ranking, evaluate_features
from reid.evaluation.rerank import check_re_ranking, evaluate_reranked
from reid.utils.checks import Count, Probability, Range, check_count, check_range


@dataclass(frozen=True)
class ReRanking:
    """Settings of :func:`reid.evaluation.re_ranking`.

    Args:
        k1: Size of the k-reciprocal neighbourhoods.
        k2: Neighbours of the local query expansion, the image itself included; 1 is none.
        lambda_value: Weight of the original distance, in [0, 1].
    """

    k1: Count = 20
    k2: Count = 6
    lambda_value: Probability = 0.3

    def __post_init__(self) -> None:
        check_count("k1", self.k1)
        check_count("k2", self.k2)
        check_range("lambda_value", self.lambda_value, 0, 1)


@dataclass(frozen=True)
class Expansion:
    """Settings of :func:`reid.evaluation.average_query_expansion`.

    Args:
        k: Gallery neighbours added to a query.
        alpha: Exponent of the cosine similarity in the weight of a neighbour; 0 gives all the same
            weight.
    """

    k: Count = 5
    alpha: Annotated[float, Range(0, 100)] = 3.0

    def __post_init__(self) -> None:
        check_count("k", self.k, least=0)
        check_range("alpha", self.alpha, 0)


@dataclass(frozen=True)
class Retrieval:
    """How a gallery is ranked.

    Attributes:
        metric: Name of the distance of the plain ranking.
        chunk: Queries at a time; memory is chunk * G distances.
        rerank: Settings of the ranking "re-ranked"; None leaves it out.
        expansion: Settings of the ranking "AQE", of expanded queries and the gallery, all of unit
            length, and with ``rerank`` of "AQE, re-ranked" too; None leaves both out.
        protocol: ``cross_camera`` or ``any_camera``: which ranks count; see
            :mod:`reid.evaluation.protocol`. Expansion and re-ranking see all images in both.
        keep: Number of first places of each query that are kept.
        partial: File for the state of a long re-ranking, as
            :func:`reid.evaluation.evaluate_reranked` takes it; None keeps nothing.

    Raises:
        ArgumentError: An unknown protocol.
    """

    metric: str = "euclidean"
    chunk: int = CHUNK
    rerank: ReRanking | None = None
    expansion: Expansion | None = None
    protocol: str = CROSS_CAMERA
    keep: int = 0
    partial: Path | None = None

    def __post_init__(self) -> None:
        check_protocol(self.protocol)

    def matches(self, query: Features, gallery: Features) -> Matches:
        """Returns which gallery images are matches and which are junk.

        Args:
            query: Features of the queries.
            gallery: Features of the gallery.
        """
        ids = (query.pids, gallery.pids, query.camids, gallery.camids)
        sizes = (len(query.pids), len(gallery.pids))
        return Matches(*ids, *sizes, self.protocol, pictures_of(query, gallery))

    def check(self, num_query: int, num_gallery: int) -> None:
        """Raises ArgumentError unless all rankings can be computed for so many images.

        Args:
            num_query: Number of queries.
            num_gallery: Number of gallery images.

        Raises:
            ArgumentError: A setting is out of range.
        """
        if self.rerank is not None:
            r = self.rerank
            check_re_ranking(r.k1, r.k2, r.lambda_value, num_query + num_gallery)
        if self.expansion is not None:
            check_expansion(self.expansion.k, self.expansion.alpha, num_gallery)

    def rankings(self, query: Features, gallery: Features) -> Iterator[tuple[str, Ranking]]:
        """Yields (name, ranking), the plain one first.

        Args:
            query: Features of the queries.
            gallery: Features of the gallery.
        """
        self.check(len(query.feats), len(gallery.feats))
        yield from self._of("", query, gallery)
        if self.expansion is not None:
            g = gallery._replace(feats=l2_normalize(gallery.feats, "gallery"))
            feats = average_query_expansion(
                query.feats, g.feats, self.expansion.k, self.expansion.alpha
            )
            yield from self._of("AQE", query._replace(feats=feats), g)

    def _of(self, prefix: str, query: Features, gallery: Features) -> Iterator[tuple[str, Ranking]]:
        ids = (query.pids, gallery.pids, query.camids, gallery.camids)
        sides = (query.feats, gallery.feats, *ids)
        pictures = pictures_of(query, gallery)
        rule: dict[str, Any] = {"protocol": self.protocol, "pictures": pictures, "keep": self.keep}
        plain = evaluate_features(*sides, self.metric, self.chunk, **rule)
        yield prefix or "plain", plain
        if self.rerank is not None:
            r = self.rerank
            settings = (r.k1, r.k2, r.lambda_value, self.chunk)
            again = evaluate_reranked(*sides, *settings, **rule, partial=self._state(prefix))
            yield ", ".join(filter(None, (prefix, "re-ranked"))), again

    def _state(self, prefix: str) -> Path | None:
        """Returns the file for the state of a re-ranking; each has its own."""
        if self.partial is None or not prefix:
            return self.partial
        return self.partial.with_name(f"{prefix.lower()}-{self.partial.name}")
