"""An index in a folder: segments that never change, and a manifest that names them.

The manifest is replaced in one step. What it does not name does not exist: a killed command leaves
at most files that the next one removes. Searching maps the files, and reads features block by
block.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reid.search.approximate import build_graph, found_by, read_graph, write_graph
from reid.search.base import METRICS, Hit, check_query, in_metric, unit
from reid.search.exact import (
    LEAST,
    SPARE,
    Block,
    block_rows,
    give_back,
    mapped_blocks,
    nearest_rows,
    ordered,
)
from reid.search.filters import Filter
from reid.search.rows import Rows, joined
from reid.search.segment import Segment, damaged, key_of, write_segment
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json
from reid.utils.lock import FolderLock, TakenError
from reid.utils.logs import make_dir, remove_strays, write_text, write_whole

MANIFEST = "manifest.json"
FORMAT = 1
# A last segment of fewer bytes that is not much larger than what is added is written anew with it:
# so there are few segments, and a row is written a few times only.
MERGED = 1 << 27
RESIDENT = 1 << 28  # bytes of features that may stay mapped; those beyond are given back
QUERIES = 256  # searched together
_FIELDS = {
    "format": int,
    "dim": int,
    "metric": str,
    "fingerprint": str,
    "weight": str,
    "overrides": list,
    "next": int,
    "segments": list,
}


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
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "holds an index" if (folder / MANIFEST).exists() else "is not empty"
            mend = "; `reid index add` adds to it" if "index" in what else ""
            raise InputError(f"{folder} {what}{mend}; choose another folder, or remove it")
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
        write_text(folder / MANIFEST, json.dumps(facts, indent=1))
        return cls(folder)

    def _open(self) -> None:
        """Reads the manifest and opens its segments; a writer may replace them meanwhile."""
        for attempt in range(5):
            manifest = self._manifest()
            try:
                self._segments = [
                    Segment(self.folder / entry["name"], entry, manifest["dim"])
                    for entry in manifest["segments"]
                ]
                self._alive = [self._living(segment) for segment in self._segments]
            except InputError:
                if attempt == 4 or self._manifest() == manifest:
                    raise
                continue
            self.manifest = manifest
            self._graph: Any = None
            return

    def _manifest(self) -> dict[str, Any]:
        file = self.folder / MANIFEST
        if not file.is_file():
            raise InputError(f"{self.folder} holds no index; `reid index build` makes one")
        content = read_json(file, "the manifest of an index")
        manifest = fields(content, str(file), _FIELDS, {"approximate": dict})
        if manifest["format"] != FORMAT:
            raise InputError(f"{self.folder} is an index of format {manifest['format']}: not known")
        for entry in manifest["segments"]:
            found = fields(entry, f"{file}: a segment", {"name": str, "rows": int, "files": dict})
            if not found["name"].isalnum():
                raise damaged(file, f"a segment is called {found['name']!r}")
        return manifest

    def _living(self, segment: Segment) -> np.ndarray | None:
        """Returns which rows of a segment are not removed; None is all."""
        name = segment.entry.get("removed")
        if name is None:
            return None
        try:
            gone = np.load(segment.folder / str(name), allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise damaged(segment.folder / str(name), str(error)) from error
        if gone.shape != (segment.count,) or gone.dtype != bool:
            raise damaged(segment.folder / str(name), f"{gone.dtype} of {gone.shape}")
        return ~gone

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the index; ``rows`` are the images in it."""
        known = {key: self.manifest[key] for key in _FIELDS if key not in ("next", "segments")}
        graph = self.manifest.get("approximate")
        state = "" if graph is None else graph["kind"] + ("" if self._fits(graph) else ", outdated")
        approximate = {"approximate": state} if state else {}
        return {**known, "rows": len(self), "segments": len(self._segments), **approximate}

    def __len__(self) -> int:
        pairs = zip(self._segments, self._alive, strict=True)
        return sum(one.count if alive is None else int(alive.sum()) for one, alive in pairs)

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
                whole = joined([self._rows(len(entries) - 1), whole])
                entries.pop()
            name = f"s{self.manifest['next']:08}"
            entries.append(write_segment(self.folder / name, whole))
            self._commit(entries)
        return len(fresh)

    def _is_merged(self, number: int, added: int) -> bool:
        """Says whether a last segment is written anew together with ``added`` rows."""
        segment = self._segments[number]
        return segment.feats.nbytes < MERGED and segment.count <= 2 * added + LEAST

    def _rows(self, number: int) -> Rows:
        """Returns the rows of a segment that are not removed."""
        segment, alive = self._segments[number], self._alive[number]
        every = np.arange(segment.count)
        return segment.rows(every if alive is None else np.flatnonzero(alive))

    def remove(self, paths: Sequence[str]) -> int:
        """Removes images by path; returns how many there were."""
        with self._writing():
            found = self._places(paths)
            found = found[found[:, 0] >= 0]
            entries = [dict(entry) for entry in self.manifest["segments"]]
            for number in np.unique(found[:, 0]).tolist():
                segment, alive = self._segments[number], self._alive[number]
                gone = np.zeros(segment.count, bool) if alive is None else ~alive
                gone[found[found[:, 0] == number, 1]] = True
                name = f"removed{self.manifest['next']}.npy"
                write_whole(segment.folder / name, _saving(gone))
                entries[number]["removed"] = name
            if len(found):
                self._commit(entries)
        return len(found)

    def known(self, paths: Sequence[str]) -> np.ndarray:
        """Returns which paths are in the index, (N,) bool."""
        return self._places(paths)[:, 0] >= 0

    def paths(self) -> list[str]:
        """Returns the paths of all images."""
        found: list[str] = []
        for segment, alive in zip(self._segments, self._alive, strict=True):
            own = segment.paths()
            found += own if alive is None else [own[i] for i in np.flatnonzero(alive).tolist()]
        return found

    def named(self, identities: Sequence[str], cameras: Sequence[str]) -> list[str]:
        """Returns the paths of images of these people, or of these cameras.

        Args:
            identities: Names of people.
            cameras: Names of cameras.
        """
        found: list[str] = []
        for segment, alive in zip(self._segments, self._alive, strict=True):
            chosen = segment.columns.is_one_of("identity", identities)
            chosen |= segment.columns.is_one_of("camera", cameras)
            if alive is not None:
                chosen &= alive
            paths = segment.paths()
            found += [paths[row] for row in np.flatnonzero(chosen).tolist()]
        return found

    def _places(self, paths: Sequence[str]) -> np.ndarray:
        """Returns segment and row of each path, (N, 2) int64; -1 where it is not in the index."""
        keys = np.array([key_of(path) for path in paths], np.int64)
        found = np.full((len(paths), 2), -1, np.int64)
        for number, (segment, alive) in enumerate(zip(self._segments, self._alive, strict=True)):
            order = segment.by_key
            place = np.searchsorted(segment.keys, keys, sorter=order).clip(max=segment.count - 1)
            row = order[place]
            right = segment.keys[row] == keys
            if alive is not None:
                right &= alive[row]
            for index in np.flatnonzero(right).tolist():
                if segment.path(int(row[index])) == paths[index]:
                    found[index] = number, row[index]
        return found

    def feats_of(self, paths: Sequence[str]) -> np.ndarray:
        """Returns the features of images that are in the index, (n, D)."""
        return np.stack([self._segments[n].feats[row] for n, row in self._places(paths).tolist()])

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
        masks = self._masks(only)
        exact = exact or bool(only) or without_cameras is not None
        graph = None if exact else self._approximate()
        hidden = self._hidden(without, len(queries))
        found: list[list[Hit]] = []
        for start in range(0, len(queries), QUERIES):
            part = slice(start, min(start + QUERIES, len(queries)))
            cameras = None if without_cameras is None else list(without_cameras[part])
            if graph is not None:
                rows, distances = self._near(graph, queries[part], k, masks, hidden[part])
            else:
                rows, distances = self._search(queries[part], k, masks, hidden[part], cameras)
            for numbers, values in zip(rows, distances, strict=True):
                pairs = zip(numbers.tolist(), values.tolist(), strict=True)
                found.append([self._hit(n, in_metric(d, metric)) for n, d in pairs if n >= 0])
        return found

    def _search(
        self,
        query: np.ndarray,
        k: int,
        masks: list[np.ndarray | None],
        hidden: np.ndarray,
        cameras: list[str] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns numbers and Euclidean distances of the nearest rows, (Q, k) each."""
        blocks = self._blocks(masks, block_rows(len(query)))
        forbidden = _Forbidden(self, hidden, cameras) if cameras or (hidden >= 0).any() else None
        rows, _ = nearest_rows(query, blocks, min(k, len(self)), forbidden)
        found, distances = ordered(query, rows, self._feats, min(k, len(self)))
        return found, distances

    def _near(
        self,
        graph: Any,
        query: np.ndarray,
        k: int,
        masks: list[np.ndarray | None],
        hidden: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns what :meth:`_search` does, of the rows that faiss finds."""
        total = int(self._starts()[-1])
        removed = total - len(self)
        wanted = min(total, k + SPARE + 1 + -(-k * removed // max(len(self), 1)))
        rows = found_by(graph, query, wanted)
        alive = [
            np.ones(s.count, bool) if m is None else m
            for s, m in zip(self._segments, masks, strict=True)
        ]
        rows[~np.concatenate(alive)[rows] | (rows == hidden[:, None])] = -1
        return ordered(query, rows, self._feats, min(k, len(self)))

    def make_approximate(self, kind: str) -> None:
        """Builds what makes searching approximate and fast; it is outdated by what is added later.

        Args:
            kind: ``hnsw`` (fastest, needs the features in memory), or ``ivf``.

        Raises:
            InputError: The index is empty, or faiss is not installed.
        """
        with self._writing():
            if not self._segments:
                raise InputError(f"{self.folder} is empty; add images before")
            parts = (
                part for s in self._segments for part in np.array_split(s.feats, 8) if len(part)
            )
            total = int(self._starts()[-1])
            graph = build_graph(kind, parts, total, self.manifest["dim"])
            name = f"approximate{self.manifest['next']}.faiss"
            write_graph(graph, self.folder / name)
            names = [entry["name"] for entry in self.manifest["segments"]]
            self.manifest["approximate"] = {"kind": kind, "file": name, "segments": names}
            self._commit(self.manifest["segments"])

    def _fits(self, graph: dict[str, Any]) -> bool:
        names = [entry["name"] for entry in self.manifest["segments"]]
        return bool(graph.get("segments") == names)

    def _approximate(self) -> Any:
        """Returns faiss' structure; None where there is none for the images that there are."""
        graph = self.manifest.get("approximate")
        if graph is None or not self._fits(graph):
            return None
        if self._graph is None:
            name = str(graph["file"])
            if not name.removesuffix(".faiss").isalnum():
                raise damaged(self.folder / MANIFEST, f"a file is called {name!r}")
            self._graph = read_graph(self.folder / name)
        return self._graph

    def _blocks(self, masks: list[np.ndarray | None], step: int) -> Iterator[Block]:
        first, mapped = 0, 0
        for segment, mask in zip(self._segments, masks, strict=True):
            mapped += segment.feats.nbytes
            yield from mapped_blocks(
                segment.feats, segment.norms, mask, first, step, release=mapped > RESIDENT
            )
            first += segment.count

    def _masks(self, only: Filter | None) -> list[np.ndarray | None]:
        """Returns of each segment which rows may be found; None is all."""
        masks: list[np.ndarray | None] = []
        for segment, alive in zip(self._segments, self._alive, strict=True):
            mask = only.mask(segment.columns) if only else None
            if alive is not None:
                mask = alive if mask is None else mask & alive
            masks.append(mask)
        return masks

    def _hidden(self, without: Sequence[str | None] | None, count: int) -> np.ndarray:
        """Returns the number of the row that each query leaves out, (Q,); -1 is none."""
        if without is None:
            return np.full(count, -1, np.int64)
        places = self._places([path or "" for path in without])
        starts = self._starts()
        return np.where(places[:, 0] >= 0, starts[places[:, 0]] + places[:, 1], -1)

    def _starts(self) -> np.ndarray:
        """Returns the number of the first row of each segment, and the number of all rows."""
        return np.concatenate([[0], np.cumsum([s.count for s in self._segments])]).astype(np.int64)

    def _at(self, number: int) -> tuple[Segment, int]:
        starts = self._starts()
        place = int(np.searchsorted(starts, number, side="right")) - 1
        return self._segments[place], number - int(starts[place])

    def _feats(self, numbers: np.ndarray) -> np.ndarray:
        starts = self._starts()
        place = np.searchsorted(starts, numbers, side="right") - 1
        out = np.empty((len(numbers), self.manifest["dim"]), np.float32)
        for segment in np.unique(place).tolist():
            own = place == segment
            feats = self._segments[segment].feats
            out[own] = feats[numbers[own] - starts[segment]]
            if feats.nbytes * len(self._segments) > RESIDENT:  # a system may map much around a row
                give_back(feats)
        return out

    def _hit(self, number: int, distance: float) -> Hit:
        segment, row = self._at(number)
        columns = segment.columns
        return Hit(
            segment.path(row),
            distance,
            columns.name("identity", row),
            columns.name("camera", row),
            float(columns.times[row]),
        )

    def check(self) -> None:
        """Raises InputError if a file is not what was written; reads the whole index."""
        for segment in self._segments:
            segment.check()

    def close(self) -> None:
        """Closes the files."""
        self._segments = []
        self._alive = []

    def _writing(self) -> "_Writing":
        return _Writing(self)

    def _commit(self, entries: list[dict[str, Any]]) -> None:
        """Makes segments the content of the index, in one step, and removes what is left over."""
        manifest = {**self.manifest, "segments": entries, "next": self.manifest["next"] + 1}
        write_text(self.folder / MANIFEST, json.dumps(manifest, indent=1))
        self._open()
        self._clean()

    def _clean(self) -> None:
        """Removes segments and lists of removed rows that the manifest does not name."""
        named = {entry["name"]: entry.get("removed") for entry in self.manifest["segments"]}
        for folder in sorted(self.folder.glob("s[0-9]*")):
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for file in sorted(folder.glob("removed*.npy")):
                if file.name != named[folder.name]:
                    file.unlink(missing_ok=True)
        graph = self.manifest.get("approximate") or {}
        for file in sorted(self.folder.glob("approximate*.faiss")):
            if file.name != graph.get("file"):
                file.unlink(missing_ok=True)
        remove_strays(self.folder, [MANIFEST, "s*", "approximate*"])


class _Writing:
    """Holds the index for one writer, and begins with what is on the disk now."""

    def __init__(self, index: LocalIndex) -> None:
        self.index = index
        self.lock = FolderLock(index.folder, ".write.lock")

    def __enter__(self) -> None:
        try:
            self.lock.acquire()
        except TakenError as error:
            raise InputError(
                f"{self.index.folder} is being written by another process; wait until it has ended"
            ) from error
        try:
            self.index._open()
            self.index._clean()
        except BaseException:
            self.lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class _Forbidden:
    """Says which pairs of queries and rows are left out.

    Args:
        index: The index.
        hidden: (Q,) row that each query leaves out, -1 for none.
        cameras: Camera that each query leaves out, "" for none; None leaves out none.
    """

    def __init__(self, index: LocalIndex, hidden: np.ndarray, cameras: list[str] | None) -> None:
        self.index = index
        self.hidden = hidden
        self.cameras = cameras

    def __call__(self, first: int, count: int) -> np.ndarray | None:
        """Returns (Q, B) bool for the rows of a block, None if no pair is left out.

        Args:
            first: Number of the first row.
            count: Number of rows, B.
        """
        inside = (self.hidden >= first) & (self.hidden < first + count)
        if not inside.any() and self.cameras is None:
            return None
        pairs = np.zeros((len(self.hidden), count), bool)
        pairs[inside, self.hidden[inside] - first] = True
        if self.cameras is not None:
            segment, row = self.index._at(first)
            codes = segment.columns.codes["camera"][row : row + count]
            names = segment.columns.names["camera"]
            number = {name: code for code, name in enumerate(names) if name}
            own = np.array([number.get(camera, -1) for camera in self.cameras])
            pairs |= own[:, None] == codes[None]
        return pairs


def _saving(array: np.ndarray) -> Any:
    return lambda file: np.save(file, array)
