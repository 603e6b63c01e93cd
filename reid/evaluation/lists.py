"""Ranked lists in a file: whom each query found first, and how far away, by every ranking."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reid.evaluation.ranking import Ranking
from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError, unknown

KEPT = 50  # places of each query
RANKINGS = ("plain", "re-ranked", "AQE", "AQE, re-ranked")
SCORES = ("query_index", "ap", "inp", "first_hit")
LISTS = ("places", "distances")
SIDES = ("query", "gallery")
ROOT = "root"


class Images(NamedTuple):
    """The images of one side.

    Attributes:
        pids: (N,) int64 identities.
        camids: (N,) int64 cameras.
        files: (N,) texts: paths, those below ``root`` relative to it; None where features were
            tested, which have no images.
    """

    pids: np.ndarray
    camids: np.ndarray
    files: np.ndarray | None = None


class RankedList(NamedTuple):
    """One ranking of V valid queries; the fields are those of :class:`Ranking`."""

    query_index: np.ndarray
    ap: np.ndarray
    inp: np.ndarray
    first_hit: np.ndarray
    places: np.ndarray
    distances: np.ndarray


class Lists(NamedTuple):
    """What a test keeps of its rankings.

    Attributes:
        query: Images that were searched for.
        gallery: Images that were searched.
        root: Folder that their files are relative to.
        rankings: By name, "plain" first.
    """

    query: Images
    gallery: Images
    root: Path
    rankings: dict[str, RankedList]

    def path(self, side: str, index: int) -> Path | None:
        """Returns the file of an image, or None where there is none.

        Args:
            side: "query" or "gallery".
            index: Number of the image in that side.
        """
        files = (self.query if side == "query" else self.gallery).files
        return None if files is None else self.root / str(files[index])


def prefix_of(name: str) -> str:
    """Returns what the arrays of a ranking begin with: "" for the plain one, "re_ranked_", ..."""
    return "" if name == "plain" else re.sub(r"\W+", "_", name.lower()) + "_"


def list_arrays(
    rankings: Mapping[str, Ranking], query: Images, gallery: Images, root: Path
) -> dict[str, np.ndarray]:
    """Returns the arrays of ranking.npz.

    Of each ranking the fields of :class:`RankedList`, the plain ones without a prefix; ``pids``,
    (V,) identities of the valid queries; and of both sides identities, cameras and files.

    Args:
        rankings: By name.
        query: Images that were searched for; their files may lie below ``root`` or elsewhere.
        gallery: Images that were searched.
        root: Folder that files are written relative to, if they lie in it.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, ranking in rankings.items():
        for key in (*SCORES, *LISTS):
            arrays[prefix_of(name) + key] = np.asarray(getattr(ranking, key))
    for side, images in zip(SIDES, (query, gallery), strict=True):
        arrays[f"{side}_pids"] = images.pids
        arrays[f"{side}_camids"] = images.camids
        if images.files is not None:
            files = [_below(Path(str(file)), root) for file in images.files]
            arrays[f"{side}_files"] = np.array(files, np.str_)
    # Those of the rows, for readers of the scores alone.
    arrays["pids"] = np.asarray(query.pids)[rankings["plain"].query_index]
    return {**arrays, ROOT: np.array(str(root.absolute()))}


def _below(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path.absolute())


def read_lists(path: Path, root: Path | None = None) -> Lists:
    """Reads the ranked lists of a test.

    Args:
        path: Its ranking.npz.
        root: Where the images lie now; None takes the folder that the file names.

    Raises:
        InputError: The file is missing or damaged, or of an older version, which kept no lists.
    """
    if not path.exists():
        weights = [path.with_name(name) for name in ("best.pth", "last.pth")]
        found = next((file for file in weights if file.exists()), None)
        mend = f"`reid test TEST.WEIGHT {found}`" if found else "name the folder of a tested run"
        raise InputError(f"{path.parent} holds no test ({path.name} is not there): {mend}")
    ids = [f"{side}_{field}" for side in SIDES for field in ("pids", "camids")]
    files = [f"{side}_files" for side in SIDES]
    others = [prefix_of(name) + key for name in RANKINGS for key in (*SCORES, *LISTS)]
    arrays = read_arrays(path, ["query_index", "ap"], [*ids, *files, *others, ROOT])
    missing = [key for key in (*ids, *SCORES, *LISTS, ROOT) if key not in arrays]
    if missing:
        raise InputError(
            f"{path} has no ranked lists ({missing[0]} is missing): an older version wrote it, or"
            " it came with an exported study; test the run again (reid test)"
        )
    query, gallery = (_images(path, arrays, side) for side in SIDES)
    rankings = {}
    for name in RANKINGS:
        fields = [arrays.get(prefix_of(name) + key) for key in RankedList._fields]
        if all(field is not None for field in fields):
            ranked = RankedList(*fields)  # type: ignore[arg-type]
            _check(path, name, ranked, len(query.pids), len(gallery.pids))
            rankings[name] = ranked
    return Lists(query, gallery, root or Path(str(arrays[ROOT])), rankings)


def _images(path: Path, arrays: Mapping[str, np.ndarray], side: str) -> Images:
    pids, camids = (arrays[f"{side}_{field}"] for field in ("pids", "camids"))
    files = arrays.get(f"{side}_files")
    for name, values, kinds in (("camids", camids, "iu"), ("files", files, "U")):
        if values is not None and (values.shape != pids.shape or values.dtype.kind not in kinds):
            raise InputError(f"{path}: {side}_{name} does not fit {side}_pids; {_AGAIN}")
    if pids.ndim != 1 or pids.dtype.kind not in "iu":
        raise InputError(f"{path}: {side}_pids must be integers, one for each image; {_AGAIN}")
    return Images(pids, camids, files)


_AGAIN = "test the run again (reid test)"


def _check(path: Path, name: str, ranked: RankedList, queries: int, gallery: int) -> None:
    """Raises InputError if an index of a ranking names no image, or its arrays do not fit."""
    valid = ranked.query_index.shape
    fits = len(valid) == 1 and all(field.shape[:1] == valid for field in ranked)
    fits = fits and ranked.places.ndim == 2 and ranked.places.shape == ranked.distances.shape
    fits = fits and all(
        index.dtype.kind in "iu" and (not index.size or (least <= index.min() <= index.max() < end))
        for index, least, end in (
            (ranked.query_index, 0, queries),
            (ranked.places, -1, gallery),
        )
    )
    if not fits:
        raise InputError(f"{path}: the arrays of the ranking {name} do not fit; {_AGAIN}")


class Hit(NamedTuple):
    """A place of a ranked list.

    Attributes:
        image: Number of the gallery image.
        right: Whether it shows the identity of the query.
        distance: Its distance by the ranking.
        pid: Its identity.
        camid: Its camera.
    """

    image: int
    right: bool
    distance: float
    pid: int
    camid: int


class Found(NamedTuple):
    """What a ranking found for a query.

    Attributes:
        ap: Average precision.
        first_hit: 0-based place of the first match.
        hits: The first places.
    """

    ap: float
    first_hit: int
    hits: list[Hit]


def found(lists: Lists, name: str, query: int, count: int) -> Found:
    """Returns what a ranking found for a query.

    Args:
        lists: The lists.
        name: Name of the ranking.
        query: Index of a valid query.
        count: Number of places, at most those that were kept.
    """
    ranked = lists.rankings[name]
    row = int(np.flatnonzero(ranked.query_index == query)[0])
    hits: list[Hit] = []
    for index, distance in zip(ranked.places[row], ranked.distances[row], strict=True):
        if index >= 0 and len(hits) < count:
            pid, camid = int(lists.gallery.pids[index]), int(lists.gallery.camids[index])
            right = pid == lists.query.pids[query]
            hits.append(Hit(int(index), bool(right), float(distance), pid, camid))
    return Found(float(ranked.ap[row]), int(ranked.first_hit[row]), hits)


def chosen(lists: Lists, which: str, count: int) -> list[int]:
    """Returns the indices of some queries, by their average precision in the plain ranking.

    Queries of equal precision stand in the order of the data set.

    Args:
        lists: The lists.
        which: "worst" (the worst first), "median" (those around the median, from low to high) or
            "best" (the best first).
        count: How many; fewer if there are fewer valid queries.
    """
    plain = lists.rankings["plain"]
    order = np.argsort(plain.ap, kind="stable")
    count = min(count, len(order))
    if which == "median":
        first = (len(order) - count) // 2
        order = order[first : first + count]
    elif which == "best":
        order = np.argsort(-plain.ap, kind="stable")[:count]
    else:
        order = order[:count]
    return [int(index) for index in plain.query_index[order]]


def query_named(lists: Lists, name: str) -> int:
    """Returns the index of the valid query whose file has a name, with its ending or without.

    Args:
        lists: The lists.
        name: The name.

    Raises:
        InputError: No such query, or one that has no match and was left out.
    """
    if lists.query.files is None:
        raise InputError("saved features were tested, and their queries have no names")
    names = [Path(str(file)).name for file in lists.query.files]
    for index, known in enumerate(names):
        if name in (known, Path(known).stem):
            if index not in lists.rankings["plain"].query_index:
                raise InputError(f"query {known} has no match in the gallery, and was left out")
            return index
    raise unknown("query", name, names[:1000])
