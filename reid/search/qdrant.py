"""An index in a Qdrant database, embedded or on a server; an extra.

``pip install "reid-lfm[qdrant]"``. Why this one: its Python client holds the same database in a
folder, without a server; the server is one program, Apache-2.0, and spreads a collection over
machines; filters are part of the search.
"""

import math
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reid.search.base import METRICS, Hit, check_query, in_metric, unit
from reid.search.filters import Filter
from reid.search.rows import Rows
from reid.utils.errors import InputError, in_one_line

INSTALL = 'pip install "reid-lfm[qdrant]"'
_AT_ONCE = 256  # points of a request
_NAMESPACE = uuid.UUID("9d1b3c1e-5f43-4a55-9a53-7f4a1c2f7c10")  # of the numbers of paths
_PAYLOAD = ("identity", "camera")


def _client(place: str) -> tuple[Any, str]:
    """Returns the client of a database, and the name of the collection."""
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise InputError(
            f"qdrant:{place} needs the package qdrant-client, which is not installed: {INSTALL}"
        ) from error
    where, _, name = place.rstrip("/").rpartition("/")
    if not where or not re.fullmatch(r"[\w.-]+", name):
        raise InputError(
            f"qdrant:{place}: write qdrant:FOLDER/NAME or qdrant:http://host:6333/NAME"
        )
    try:
        if re.match(r"https?://", where):
            return QdrantClient(url=where, timeout=60, check_compatibility=False), name
        return QdrantClient(path=str(Path(where).expanduser())), name
    except Exception as error:  # of many kinds, some of them of other packages
        raise InputError(f"qdrant:{place} cannot be opened: {in_one_line(error)}") from error


class QdrantIndex:
    """A collection of a Qdrant database.

    Args:
        place: ``FOLDER/NAME``, or ``http://host:6333/NAME``.

    Raises:
        InputError: The database cannot be reached, or has no such index.
    """

    def __init__(self, place: str) -> None:
        self.place = f"qdrant:{place}"
        self.client, self.name = _client(place)
        try:
            if not self._call(self.client.collection_exists, self.name):
                raise InputError(f"{self.place} holds no index; `reid index build` makes one")
            config = self._call(self.client.get_collection, self.name).config
            self._facts = dict(config.metadata or {})
            self._facts["dim"] = config.params.vectors.size
            if "fingerprint" not in self._facts:
                raise InputError(f"{self.place} is a collection of another program")
        except InputError:
            self.close()
            raise

    @classmethod
    def create(cls, place: str, dim: int, facts: Mapping[str, Any]) -> "QdrantIndex":
        """Makes an empty index.

        Args:
            place: See the class.
            dim: Length of the features.
            facts: ``metric``, ``fingerprint``, ``weight``, ``overrides``.

        Raises:
            InputError: The name is taken, or the database cannot be reached.
        """
        from qdrant_client import models

        if facts["metric"] not in METRICS:
            raise InputError(f"metric must be one of {', '.join(METRICS)}")
        client, name = _client(place)
        try:
            if client.collection_exists(name):
                raise InputError(f"qdrant:{place} holds an index; `reid index add` adds to it")
            # Features of unit length stand for cosine, as in an index of ours.
            vectors = models.VectorParams(size=dim, distance=models.Distance.EUCLID)
            client.create_collection(name, vectors, metadata=dict(facts))
        finally:
            client.close()
        return cls(place)

    def _call(self, work: Any, *args: Any, **more: Any) -> Any:
        try:
            return work(*args, **more)
        except Exception as error:  # of many kinds, some of them of other packages
            raise InputError(f"{self.place} does not answer: {in_one_line(error)}") from error

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the index; ``rows`` are the images in it."""
        return {**self._facts, "rows": self._call(self.client.count, self.name).count}

    def add(self, rows: Rows) -> int:
        """Adds images whose paths are new; the database has written them when it returns.

        Args:
            rows: The images.
        """
        from qdrant_client import models

        dim = self._facts["dim"]
        if rows.feats.shape[1:] != (dim,):
            raise InputError(f"features must be (N, {dim}) as in the index, got {rows.feats.shape}")
        fresh = rows.take(np.flatnonzero(~self.known(rows.paths)))
        feats = unit(fresh.feats, self._facts["metric"])
        for start in range(0, len(fresh), _AT_ONCE):
            points = [
                models.PointStruct(
                    id=_number(fresh.paths[i]), vector=feats[i].tolist(), payload=_payload(fresh, i)
                )
                for i in range(start, min(start + _AT_ONCE, len(fresh)))
            ]
            self._call(self.client.upsert, self.name, points, wait=True)
        return len(fresh)

    def _points(self, paths: Sequence[str], vectors: bool = False) -> dict[str, Any]:
        """Returns the points of those paths that are in the index, by number."""
        found: dict[str, Any] = {}
        for start in range(0, len(paths), _AT_ONCE):
            numbers = [_number(path) for path in paths[start : start + _AT_ONCE]]
            points = self._call(
                self.client.retrieve, self.name, numbers, with_payload=False, with_vectors=vectors
            )
            found |= {str(point.id): point for point in points}
        return found

    def known(self, paths: Sequence[str]) -> np.ndarray:
        """Returns which paths are in the index, (N,) bool."""
        found = self._points(paths)
        return np.array([_number(path) in found for path in paths], bool)

    def feats_of(self, paths: Sequence[str]) -> np.ndarray:
        """Returns the features of images that are in the index, (n, D)."""
        found = self._points(paths, vectors=True)
        return np.array([found[_number(path)].vector for path in paths], np.float32)

    def remove(self, paths: Sequence[str]) -> int:
        """Removes images by path; returns how many there were."""
        numbers = list(self._points(paths))
        for start in range(0, len(numbers), _AT_ONCE):
            self._call(self.client.delete, self.name, numbers[start : start + _AT_ONCE], wait=True)
        return len(numbers)

    def paths(self) -> list[str]:
        """Returns the paths of all images."""
        return list(self._scrolled(None))

    def named(self, identities: Sequence[str], cameras: Sequence[str]) -> list[str]:
        """Returns the paths of images of these people, or of these cameras.

        Args:
            identities: Names of people.
            cameras: Names of cameras.
        """
        from qdrant_client import models

        pairs = zip(_PAYLOAD, (identities, cameras), strict=True)
        return list(self._scrolled(models.Filter(should=[_one_of(*pair) for pair in pairs])))

    def _scrolled(self, only: Any) -> Iterator[str]:
        offset = None
        while True:
            points, offset = self._call(
                self.client.scroll, self.name, only, limit=_AT_ONCE, offset=offset
            )
            yield from (point.payload["path"] for point in points)
            if offset is None:
                return

    def search(
        self,
        feats: np.ndarray,
        k: int,
        only: Filter | None = None,
        without: Sequence[str | None] | None = None,
        without_cameras: Sequence[str] | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """Returns the ``k`` nearest images of each query; a server may search approximately.

        Args:
            feats: (Q, D) features of the queries.
            k: Hits of a query; fewer are returned where there are no more.
            only: What a hit has to fulfil.
            without: Of each query a path that is left out, None for none.
            without_cameras: Of each query a camera whose images are left out, "" for none.
            exact: Have the server search exactly.
        """
        from qdrant_client import models

        metric = self._facts["metric"]
        queries = unit(check_query(feats, self._facts["dim"], k), metric)
        requests = [
            models.QueryRequest(
                query=query.tolist(),
                limit=k,
                with_payload=True,
                params=models.SearchParams(exact=exact),
                filter=_conditions(
                    only or Filter(),
                    without[place] if without is not None else None,
                    without_cameras[place] if without_cameras is not None else "",
                ),
            )
            for place, query in enumerate(queries)
        ]
        found: list[list[Hit]] = []
        for start in range(0, len(requests), _AT_ONCE):
            part = requests[start : start + _AT_ONCE]
            answers = self._call(self.client.query_batch_points, self.name, part)
            found += [[_hit(point, metric) for point in answer.points] for answer in answers]
        return found

    def close(self) -> None:
        """Closes the database."""
        self.client.close()


def _number(path: str) -> str:
    """Returns the number of a path's point, which is the same everywhere."""
    return str(uuid.uuid5(_NAMESPACE, path))


def _payload(rows: Rows, place: int) -> dict[str, Any]:
    known = {
        "path": rows.paths[place],
        "identity": rows.identities[place],
        "camera": rows.cameras[place],
    }
    time = float(rows.times[place])
    return known if math.isnan(time) else {**known, "time": time}


def _one_of(column: str, names: Sequence[str]) -> Any:
    from qdrant_client import models

    return models.FieldCondition(key=column, match=models.MatchAny(any=list(names)))


def _conditions(only: Filter, without: str | None, camera: str) -> Any:
    """Returns a filter as the database knows it."""
    from qdrant_client import models

    must: list[Any] = []
    must_not: list[Any] = []
    if only.cameras:
        must.append(_one_of("camera", only.cameras))
    if only.identities:
        must.append(_one_of("identity", only.identities))
    if only.without_cameras:
        must_not.append(_one_of("camera", ["", *only.without_cameras]))
    if only.since is not None or only.until is not None:
        between = models.Range(gte=only.since, lte=only.until)
        must.append(models.FieldCondition(key="time", range=between))
    if camera:
        must_not.append(_one_of("camera", [camera]))
    if without is not None:
        must_not.append(models.HasIdCondition(has_id=[_number(without)]))
    return models.Filter(must=must, must_not=must_not) if must or must_not else None


def _hit(point: Any, metric: str) -> Hit:
    known = point.payload
    return Hit(
        known["path"],
        in_metric(float(point.score), metric),
        known["identity"],
        known["camera"],
        float(known.get("time", math.nan)),
    )
