"""The segments of an index, open for reading: all their rows have one numbering."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reid.search.approximate import found_by
from reid.search.base import Hit, in_metric
from reid.search.exact import (
    SPARE,
    Block,
    block_rows,
    give_back,
    mapped_blocks,
    nearest_rows,
    ordered,
)
from reid.search.filters import Filter
from reid.search.rows import Rows
from reid.search.segment import Segment, damaged, key_of

RESIDENT = 1 << 28  # bytes of features that may stay mapped; those beyond are given back

Masks = list[np.ndarray | None]  # of each segment, which rows may be found; None is all


class OpenSegments:
    """Segments that are open; the files may be removed meanwhile.

    Args:
        folder: The index.
        entries: Of the manifest.
        dim: Length of the features.

    Raises:
        InputError: A file is missing, or is not what was written.
    """

    def __init__(self, folder: Path, entries: Sequence[dict[str, Any]], dim: int) -> None:
        self.dim = dim
        self.segments = [Segment(folder / entry["name"], entry, dim) for entry in entries]
        self.alive = [_living(segment) for segment in self.segments]
        # Number of the first row of each segment, and the number of all rows.
        self.starts = np.cumsum([0, *(s.count for s in self.segments)], dtype=np.int64)

    def __len__(self) -> int:
        pairs = zip(self.segments, self.alive, strict=True)
        return sum(one.count if alive is None else int(alive.sum()) for one, alive in pairs)

    def rows(self, number: int) -> Rows:
        """Returns the rows of a segment that are not removed."""
        segment, alive = self.segments[number], self.alive[number]
        every = np.arange(segment.count)
        return segment.rows(every if alive is None else np.flatnonzero(alive))

    def paths(self) -> list[str]:
        """Returns the paths of all images."""
        return self._paths(self.alive)

    def named(self, identities: Sequence[str], cameras: Sequence[str]) -> list[str]:
        """Returns the paths of images of these people, or of these cameras.

        Args:
            identities: Names of people.
            cameras: Names of cameras.
        """
        masks: Masks = []
        for segment, alive in zip(self.segments, self.alive, strict=True):
            chosen = segment.columns.is_one_of("identity", identities)
            chosen |= segment.columns.is_one_of("camera", cameras)
            masks.append(chosen if alive is None else chosen & alive)
        return self._paths(masks)

    def _paths(self, masks: Masks) -> list[str]:
        found: list[str] = []
        for segment, mask in zip(self.segments, masks, strict=True):
            own = segment.paths()
            found += own if mask is None else [own[i] for i in np.flatnonzero(mask).tolist()]
        return found

    def places(self, paths: Sequence[str]) -> np.ndarray:
        """Returns segment and row of each path, (N, 2) int64; -1 where it is not in the index."""
        keys = np.array([key_of(path) for path in paths], np.int64)
        found = np.full((len(paths), 2), -1, np.int64)
        for number, (segment, alive) in enumerate(zip(self.segments, self.alive, strict=True)):
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

    def numbers(self, paths: Sequence[str | None]) -> np.ndarray:
        """Returns the number of each path, (N,) int64; -1 where it is not in the index."""
        places = self.places([path or "" for path in paths])
        return np.where(places[:, 0] >= 0, self.starts[places[:, 0]] + places[:, 1], -1)

    def feats(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the features of rows, (n, D), by their numbers, (n,)."""
        place = np.searchsorted(self.starts, numbers, side="right") - 1
        out = np.empty((len(numbers), self.dim), np.float32)
        for number in np.unique(place).tolist():
            own = place == number
            feats = self.segments[number].feats
            out[own] = feats[numbers[own] - self.starts[number]]
            if feats.nbytes * len(self.segments) > RESIDENT:  # a system may map much around a row
                give_back(feats)
        return out

    def hit(self, number: int, distance: float, metric: str) -> Hit:
        """Returns what is known of a row that was found.

        Args:
            number: Of the row.
            distance: Euclidean.
            metric: ``euclidean`` or ``cosine``, which the hit tells its distance in.
        """
        place = int(np.searchsorted(self.starts, number, side="right")) - 1
        segment, row = self.segments[place], number - int(self.starts[place])
        return Hit(
            segment.path(row),
            in_metric(distance, metric),
            segment.columns.name("identity", row),
            segment.columns.name("camera", row),
            float(segment.columns.times[row]),
        )

    def masks(self, only: Filter | None) -> Masks:
        """Returns of each segment which rows may be found; None is all."""
        masks: Masks = []
        for segment, alive in zip(self.segments, self.alive, strict=True):
            mask = only.mask(segment.columns) if only else None
            if alive is not None:
                mask = alive if mask is None else mask & alive
            masks.append(mask)
        return masks

    def exact(
        self,
        query: np.ndarray,
        k: int,
        masks: Masks,
        hidden: np.ndarray,
        cameras: Sequence[str] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns numbers and Euclidean distances of the nearest rows, (Q, k) each.

        Args:
            query: (Q, D) float32.
            k: Rows of a query; -1 and inf stand where there are no more.
            masks: From :meth:`masks`.
            hidden: (Q,) number of the row that each query leaves out, -1 for none.
            cameras: Camera that each query leaves out, "" for none; None leaves out none.
        """
        blocks = self._blocks(masks, block_rows(len(query)))
        left_out = cameras is not None or bool((hidden >= 0).any())
        forbidden = _Forbidden(self, hidden, cameras) if left_out else None
        rows, _ = nearest_rows(query, blocks, k, forbidden)
        return ordered(query, rows, self.feats, k)

    def near(
        self, graph: Any, query: np.ndarray, k: int, hidden: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns what :meth:`exact` does, of the rows that faiss finds.

        Args:
            graph: Faiss' structure of all rows.
            query: (Q, D) float32.
            k: Rows of a query.
            hidden: (Q,) number of the row that each query leaves out, -1 for none.
        """
        total = int(self.starts[-1])
        removed = total - len(self)
        wanted = min(total, k + SPARE + 1 + -(-k * removed // max(len(self), 1)))
        rows = found_by(graph, query, wanted)
        pairs = zip(self.segments, self.alive, strict=True)
        alive = [np.ones(s.count, bool) if mask is None else mask for s, mask in pairs]
        rows[~np.concatenate(alive)[rows] | (rows == hidden[:, None])] = -1
        return ordered(query, rows, self.feats, k)

    def _blocks(self, masks: Masks, step: int) -> Iterator[Block]:
        mapped = 0
        for number, (segment, mask) in enumerate(zip(self.segments, masks, strict=True)):
            mapped += segment.feats.nbytes
            first = int(self.starts[number])
            release = mapped > RESIDENT
            yield from mapped_blocks(segment.feats, segment.norms, mask, first, step, release)


def _living(segment: Segment) -> np.ndarray | None:
    """Returns which rows of a segment are not removed; None is all."""
    name = segment.entry.get("removed")
    if name is None:
        return None
    file = segment.folder / Path(str(name)).name
    try:
        gone: np.ndarray = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise damaged(file, str(error)) from error
    if gone.shape != (segment.count,) or gone.dtype != bool:
        raise damaged(file, f"{gone.dtype} of {gone.shape}")
    return ~gone


class _Forbidden:
    """Says which pairs of queries and rows are left out.

    Args:
        opened: The segments.
        hidden: (Q,) row that each query leaves out, -1 for none.
        cameras: Camera that each query leaves out, "" for none; None leaves out none.
    """

    def __init__(
        self, opened: OpenSegments, hidden: np.ndarray, cameras: Sequence[str] | None
    ) -> None:
        self.opened = opened
        self.hidden = hidden
        self.cameras = cameras

    def __call__(self, first: int, count: int) -> np.ndarray | None:
        """Returns (Q, B) bool for the rows of a block, None if no pair is left out.

        Args:
            first: Number of the first row.
            count: Number of rows, B, all of one segment.
        """
        inside = (self.hidden >= first) & (self.hidden < first + count)
        if not inside.any() and self.cameras is None:
            return None
        pairs = np.zeros((len(self.hidden), count), bool)
        pairs[inside, self.hidden[inside] - first] = True
        if self.cameras is not None:
            place = int(np.searchsorted(self.opened.starts, first, side="right")) - 1
            columns = self.opened.segments[place].columns
            row = first - int(self.opened.starts[place])
            codes = columns.codes["camera"][row : row + count]
            number = {name: code for code, name in enumerate(columns.names["camera"]) if name}
            own = np.array([number.get(camera, -1) for camera in self.cameras])
            pairs |= own[:, None] == codes[None]
        return pairs
