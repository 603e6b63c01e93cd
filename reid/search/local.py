"""An index in a folder: segments that never change, and a manifest that names them.

The manifest is replaced in one step. What it does not name does not exist: a killed command leaves
at most files that the next one removes. Searching maps the files, and reads features block by
block.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reid.search.approximate import build_graph, read_graph, write_graph
from reid.search.base import METRICS, Hit, check_query, unit
from reid.search.exact import LEAST
from reid.search.filters import Filter
from reid.search.manifest import (
    FIELDS,
    FORMAT,
    NAME,
    clean,
    one_writer,
    read_manifest,
    write_manifest,
)
from reid.search.opened import OpenSegments
from reid.search.rows import Rows, joined
from reid.search.segment import write_segment
from reid.utils.errors import InputError
from reid.utils.logs import make_dir, write_whole

# A last segment of fewer bytes that is not much larger than what is added is written anew with it:
# so there are few segments, and a row is written a few times only.
MERGED = 1 << 27
QUERIES = 256  # searched together
_ATTEMPTS = 5  # to open an index that another process is writing to


class LocalIndex:
    """An index in a folder.

    Args:
        folder: Where :meth:`create` made it.

    Raises:
        InputError: There is no index, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open()

    @classmethod
    def create(
        cls,
        folder: Path,
        dim: int,
        metric: str = "euclidean",
        fingerprint: str = "",
        weight: str = "",
        overrides: Sequence[str] = (),
    ) -> "LocalIndex":
        """Makes an empty index.

        Args:
            folder: A folder that does not exist, or is empty.
            dim: Length D of the features.
            metric: ``euclidean``, or ``cosine``, which keeps features of unit length.
            fingerprint: Of the model, which what is added and searched must have.
            weight: File of the model.
            overrides: Settings that the model was loaded with.

        Raises:
            InputError: The folder holds something, or cannot be written to.
        """
        if metric not in METRICS:
            raise InputError(f"metric must be one of {', '.join(METRICS)}, got '{metric}'")
        if (folder / NAME).exists():
            raise InputError(
                f"{folder} holds an index; `reid index add` adds to it; choose another folder, or"
                " remove it"
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is not empty; choose another folder, or remove it")
        make_dir(folder)
        facts = {
            "format": FORMAT,
            "dim": dim,
            "metric": metric,
            "fingerprint": fingerprint,
            "weight": weight,
            "overrides": list(overrides),
            "next": 1,
            "segments": [],
        }
        write_manifest(folder, facts)
        return cls(folder)

    def _open(self) -> None:
        """Reads the manifest and opens its segments; a writer may replace them meanwhile."""
        for attempt in range(_ATTEMPTS):
            manifest = read_manifest(self.folder)
            try:
                opened = OpenSegments(self.folder, manifest["segments"], manifest["dim"])
            except InputError:
                if attempt == _ATTEMPTS - 1 or read_manifest(self.folder) == manifest:
                    raise
                continue
            self.manifest = manifest
            self.opened = opened
            self._graph: Any = None
            return

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the index; ``rows`` are the images in it."""
        known = {key: self.manifest[key] for key in FIELDS if key not in ("next", "segments")}
        known |= {"rows": len(self), "segments": len(self.opened.segments)}
        if "approximate" in self.manifest:
            outdated = "" if self._is_current() else ", outdated"
            known["approximate"] = f"{self.manifest['approximate']['kind']}{outdated}"
        return known

    def __len__(self) -> int:
        return len(self.opened)

    def add(self, rows: Rows) -> int:
        """Adds images whose paths are new; they are on the disk when it returns.

        Args:
            rows: The images.

        Returns:
            How many were new.

        Raises:
            InputError: The features have another length than those of the index, or another
                process is writing to it.
        """
        dim, metric = self.manifest["dim"], self.manifest["metric"]
        if rows.feats.shape[1:] != (dim,):
            raise InputError(f"features must be (N, {dim}) as in the index, got {rows.feats.shape}")
        with self._writing():
            fresh = rows.take(np.flatnonzero(~self.known(rows.paths)))
            if not len(fresh):
                return 0
            fresh.feats = unit(fresh.feats, metric)
            entries = list(self.manifest["segments"])
            whole = fresh
            while entries and self._is_merged(len(entries) - 1, len(whole)):
                whole = joined([self.opened.rows(len(entries) - 1), whole])
                entries.pop()
            name = f"s{self.manifest['next']:08}"
            entries.append(write_segment(self.folder / name, whole))
            self._commit(segments=entries)
        return len(fresh)

    def _is_merged(self, number: int, added: int) -> bool:
        """Says whether a last segment is written anew together with ``added`` rows."""
        segment = self.opened.segments[number]
        return segment.feats.nbytes < MERGED and segment.count <= 2 * added + LEAST

    def remove(self, paths: Sequence[str]) -> int:
        """Removes images by path; returns how many there were."""
        with self._writing():
            found = np.unique(self.opened.places(paths), axis=0)
            found = found[found[:, 0] >= 0]
            entries = [dict(entry) for entry in self.manifest["segments"]]
            for number in np.unique(found[:, 0]).tolist():
                segment, alive = self.opened.segments[number], self.opened.alive[number]
                gone = np.zeros(segment.count, bool) if alive is None else ~alive
                gone[found[found[:, 0] == number, 1]] = True
                name = f"removed{self.manifest['next']}.npy"
                write_whole(segment.folder / name, _saving(gone))
                entries[number]["removed"] = name
            if len(found):
                self._commit(segments=entries)
        return len(found)

    def known(self, paths: Sequence[str]) -> np.ndarray:
        """Returns which paths are in the index, (N,) bool."""
        return self.opened.places(paths)[:, 0] >= 0

    def paths(self) -> list[str]:
        """Returns the paths of all images."""
        return self.opened.paths()

    def named(self, identities: Sequence[str], cameras: Sequence[str]) -> list[str]:
        """Returns the paths of images of these people, or of these cameras.

        Args:
            identities: Names of people.
            cameras: Names of cameras.
        """
        return self.opened.named(identities, cameras)

    def feats_of(self, paths: Sequence[str]) -> np.ndarray:
        """Returns the features of images that are in the index, (n, D)."""
        return self.opened.feats(self.opened.numbers(paths))

    def search(
        self,
        feats: np.ndarray,
        k: int,
        only: Filter | None = None,
        without: Sequence[str | None] | None = None,
        without_cameras: Sequence[str] | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """Returns the ``k`` nearest images of each query, nearest first.

        The search is exact, unless :meth:`make_approximate` was called after the last image was
        added. With a filter it is always exact.

        Args:
            feats: (Q, D) features of the queries.
            k: Hits of a query; fewer are returned where there are no more.
            only: What a hit has to fulfil.
            without: Of each query a path that is left out, None for none.
            without_cameras: Of each query a camera whose images are left out, "" for none.
            exact: Search exactly in any case.
        """
        metric = self.manifest["metric"]
        queries = unit(check_query(feats, self.manifest["dim"], k), metric)
        count = min(k, len(self))
        masks = self.opened.masks(only)
        hidden = self.opened.numbers(without if without is not None else [None] * len(queries))
        filtered = bool(only) or without_cameras is not None
        graph = None if exact or filtered else self._approximate()
        found: list[list[Hit]] = []
        for start in range(0, len(queries), QUERIES):
            part = slice(start, min(start + QUERIES, len(queries)))
            if graph is not None:
                rows, distances = self.opened.near(graph, queries[part], count, hidden[part])
            else:
                cameras = None if without_cameras is None else without_cameras[part]
                query = queries[part]
                rows, distances = self.opened.exact(query, count, masks, hidden[part], cameras)
            for numbers, values in zip(rows.tolist(), distances.tolist(), strict=True):
                pairs = zip(numbers, values, strict=True)
                found.append([self.opened.hit(n, d, metric) for n, d in pairs if n >= 0])
        return found

    def make_approximate(self, kind: str) -> None:
        """Builds what makes searching approximate and fast; it is outdated by what is added later.

        Args:
            kind: ``hnsw`` (fastest, needs the features in memory), or ``ivf``.

        Raises:
            InputError: The index is empty, or faiss is not installed.
        """
        with self._writing():
            segments = self.opened.segments
            if not segments:
                raise InputError(f"{self.folder} is empty; add images before")
            parts = (part for s in segments for part in np.array_split(s.feats, 8) if len(part))
            total = sum(segment.count for segment in segments)
            graph = build_graph(kind, parts, total, self.manifest["dim"])
            name = f"approximate{self.manifest['next']}.faiss"
            write_graph(graph, self.folder / name)
            self._commit(approximate={"kind": kind, "file": name, "segments": self._names()})

    def _names(self) -> list[str]:
        return [entry["name"] for entry in self.manifest["segments"]]

    def _is_current(self) -> bool:
        """Says whether what was built for approximate search is of the segments that there are."""
        return bool(self.manifest["approximate"].get("segments") == self._names())

    def _approximate(self) -> Any:
        """Returns faiss' structure; None where there is none for the images that there are."""
        if "approximate" not in self.manifest or not self._is_current():
            return None
        if self._graph is None:
            self._graph = read_graph(self.folder / str(self.manifest["approximate"]["file"]))
        return self._graph

    def check(self) -> None:
        """Raises InputError if a file is not what was written; reads the whole index."""
        for segment in self.opened.segments:
            segment.check()

    def close(self) -> None:
        """Closes the files."""
        self.opened = OpenSegments(self.folder, [], self.manifest["dim"])
        self._graph = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Holds the index for one writer, who begins with what is on the disk now."""
        with one_writer(self.folder):
            self._open()
            clean(self.folder, self.manifest)
            yield

    def _commit(self, **changes: Any) -> None:
        """Makes changes the content of the index, in one step, and removes what is left over."""
        manifest = {**self.manifest, **changes, "next": self.manifest["next"] + 1}
        write_manifest(self.folder, manifest)
        self._open()
        clean(self.folder, self.manifest)


def _saving(array: np.ndarray) -> Any:
    return lambda file: np.save(file, array)
