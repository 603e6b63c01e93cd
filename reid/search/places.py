"""Where an index is: a folder of ours, or a database."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reid.search.base import SearchIndex
from reid.search.local import LocalIndex

DATABASE = "qdrant:"


def open_index(place: str) -> SearchIndex:
    """Opens an index.

    Args:
        place: A folder; ``qdrant:FOLDER/NAME``, a collection of an embedded database; or
            ``qdrant:http://host:6333/NAME``, one of a server.

    Raises:
        InputError: There is none, it is damaged, or a package is not installed.
    """
    if place.startswith(DATABASE):
        from reid.search.qdrant import QdrantIndex

        return QdrantIndex(place.removeprefix(DATABASE))
    return LocalIndex(Path(place).expanduser())


def create_index(place: str, dim: int, facts: Mapping[str, Any]) -> SearchIndex:
    """Makes an empty index.

    Args:
        place: As for :func:`open_index`.
        dim: Length of the features.
        facts: ``metric``, ``fingerprint``, ``weight``, ``overrides``.

    Raises:
        InputError: The place is taken, or cannot be written to.
    """
    if place.startswith(DATABASE):
        from reid.search.qdrant import QdrantIndex

        return QdrantIndex.create(place.removeprefix(DATABASE), dim, facts)
    return LocalIndex.create(Path(place).expanduser(), dim, **facts)
