"""Searches an index for images: what ``reid index search`` runs."""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from tabulate import tabulate

from reid.data.image_lists import ImageList, list_images, named_images
from reid.data.images import decode
from reid.embedding.files import read_features
from reid.evaluation import re_ranking
from reid.evaluation.retrieval import ReRanking
from reid.jobs.index import Content, check_model, model_of
from reid.jobs.show import MOST_ROWS, SIZE
from reid.search import Filter, Hit, SearchIndex
from reid.search.places import open_index
from reid.utils.errors import InputError
from reid.utils.logs import write_text, write_whole
from reid.visualization.ranked import RankedRow, draw_ranked
from reid.visualization.tiles import Tile

K = 10  # hits, unless more or fewer are asked for
ENDINGS = (".png", ".json")


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        k: Hits of a query; None is ten, or as many as there are.
        only: What a hit has to fulfil.
        other_cameras: Leave out images of the query's own camera.
        keep_itself: Also find the query's own file, where it is in the index.
        rerank: First places that are re-ranked by k-reciprocal neighbours; 0 is none.
        exact: Do not search approximately.
    """

    k: int | None = None
    only: Filter = field(default_factory=Filter)
    other_cameras: bool = False
    keep_itself: bool = False
    rerank: int = 0
    exact: bool = False


def search_index(
    place: str,
    content: Content,
    wish: Wish,
    output: Path | None = None,
    report: Callable[[str], None] = print,
) -> list[list[Hit]]:
    """Searches an index for images, prints the hits, and draws them.

    Args:
        place: The index.
        content: The queries.
        wish: What is asked for.
        output: A .png that gets a picture of the hits, or a .json that lists them; None is neither.
        report: Is told the hits.

    Returns:
        The hits of each query.

    Raises:
        InputError: There is no such index, it was built with another model, or a wish cannot be
            fulfilled.
    """
    if output is not None and output.suffix.lower() not in ENDINGS:
        raise InputError(f"-o {output}: its name must end in {' or '.join(ENDINGS)}")
    with closing(open_index(place)) as index:
        k = _count(wish, int(index.facts["rows"]), place)
        images, feats = _queries(index, place, content)
        hits = find(index, images, feats, replace(wish, k=k))
    report(_table(images, hits))
    if output is not None and output.suffix.lower() == ".json":
        write_text(output, _as_json(images, hits))
    elif output is not None:
        _draw(images, hits, output)
    if output is not None:
        report(f"written: {output}")
    return hits


def _count(wish: Wish, rows: int, place: str) -> int:
    if not rows:
        raise InputError(f"{place} is empty; `reid index add` adds images to it")
    k = min(K, rows) if wish.k is None else wish.k
    if not 1 <= k <= rows:
        raise InputError(f"-k must be in 1..{rows}, the number of images in {place}, got {k}")
    if wish.rerank and wish.rerank < k:
        raise InputError(f"--re-rank {wish.rerank} must be at least -k {k}")
    return k


def _queries(index: SearchIndex, place: str, content: Content) -> tuple[ImageList, np.ndarray]:
    """Returns the queries and their features, (Q, D)."""
    if content.features is not None:
        saved = read_features(content.features)
        check_model(index, place, saved.fingerprint, content.features)
        return named_images(saved.paths), np.asarray(saved.feats)
    images = list_images(content.sources)
    model = model_of(index, place, content)
    return images, model.embed(images.paths)


def find(index: SearchIndex, images: ImageList, feats: np.ndarray, wish: Wish) -> list[list[Hit]]:
    """Returns the hits of each query, nearest first.

    Args:
        index: The index.
        images: The queries, Q of them.
        feats: (Q, D) their features.
        wish: What is asked for, with k.

    Raises:
        InputError: Images of other cameras are asked for, and a query's camera is unknown.
    """
    if wish.other_cameras and "" in images.cameras:
        unknown = images.paths[images.cameras.index("")]
        raise InputError(
            f"--other-cameras: the camera of {unknown} is unknown; name it in a list (.csv) with"
            " the column camera, or in the file's name (0002_c1s1_000451_03.jpg)"
        )
    own = None if wish.keep_itself else images.paths
    cameras = images.cameras if wish.other_cameras else None
    k = wish.k or K
    hits = index.search(feats, max(k, wish.rerank), wish.only, own, cameras, wish.exact)
    if wish.rerank:
        hits = [_reranked(index, row, one) for row, one in zip(feats, hits, strict=True)]
    return [one[:k] for one in hits]


def _reranked(index: SearchIndex, query: np.ndarray, hits: list[Hit]) -> list[Hit]:
    """Re-ranks the first places of a query among themselves."""
    if len(hits) < 2:
        return hits
    r = ReRanking()
    feats = index.feats_of([hit.path for hit in hits])
    settings = (min(r.k1, len(hits)), min(r.k2, len(hits)), r.lambda_value)
    distances = re_ranking(query[None], feats, *settings)[0]
    order = np.argsort(distances, kind="stable").tolist()
    return [replace(hits[place], distance=float(distances[place])) for place in order]


def _table(images: ImageList, hits: Sequence[Sequence[Hit]]) -> str:
    """Returns the hits as text, a table for each query."""
    parts = []
    for path, identity, found in zip(images.paths, images.identities, hits, strict=True):
        rows = [
            (place, f"{hit.distance:.4f}", hit.identity, hit.camera, hit.path)
            for place, hit in enumerate(found, 1)
        ]
        name = f" ({identity})" if identity else ""
        table = tabulate(
            rows, ("place", "distance", "identity", "camera", "path"), disable_numparse=True
        )
        parts.append(f"{path}{name}\n{table if rows else 'nothing was found'}")
    return "\n\n".join(parts)


def _as_json(images: ImageList, hits: Sequence[Sequence[Hit]]) -> str:
    listed = [
        {"query": path, "hits": [_plain(hit) for hit in found]}
        for path, found in zip(images.paths, hits, strict=True)
    ]
    return json.dumps(listed, indent=1) + "\n"


def _plain(hit: Hit) -> dict[str, object]:
    return {**asdict(hit), "time": None if math.isnan(hit.time) else hit.time}


def _draw(images: ImageList, hits: Sequence[Sequence[Hit]], output: Path) -> None:
    if len(images) > MOST_ROWS:
        raise InputError(f"{len(images)} rows make no picture to look at; name fewer queries")
    if not any(hits):
        raise InputError(f"nothing was found, and {output} is not drawn")
    rows = [
        RankedRow(
            Tile(_decoded(path), None, (f"id {identity}" if identity else "",)),
            [_tile(hit, identity) for hit in found],
            Path(path).name,
        )
        for path, identity, found in zip(images.paths, images.identities, hits, strict=True)
    ]
    sheet = draw_ranked(rows)
    write_whole(output, lambda file: sheet.save(file, "PNG"))


def _tile(hit: Hit, identity: str) -> Tile:
    """Returns a hit; where both people are known, its frame says whether they are the same."""
    right = hit.identity == identity if hit.identity and identity else None
    who = f"id {hit.identity}" if hit.identity else ""
    where = f"c{hit.camera}" if hit.camera else ""
    return Tile(_decoded(hit.path), right, (f"{hit.distance:.3f}", f"{who} {where}".strip()))


@lru_cache(maxsize=4096)
def _decoded(path: str) -> np.ndarray:
    return decode(Path(path), SIZE)
