"""Looking at a tested run: ranked lists as a picture. What ``reid show`` runs."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from reid.data.images import decode
from reid.evaluation.lists import Found, Lists, chosen, found, query_named, read_lists
from reid.evaluation.places import RANKING_FILE
from reid.utils.errors import InputError
from reid.utils.logs import write_whole
from reid.visualization.ranked import RankedRow, draw_ranked
from reid.visualization.tiles import Tile

SIZE = (128, 64)  # height and width of a drawn picture, pixels
MOST_ROWS = 200  # what a viewer of pictures still opens


def show_lists(
    folder: Path,
    counts: dict[str, int],
    names: Sequence[str],
    hits: int,
    output: Path,
    root: Path | None = None,
) -> int:
    """Draws ranked lists of some queries of a test, and writes them as PNG.

    Args:
        folder: Folder with the ranking.npz of a test.
        counts: How many queries, by "worst", "median" and "best".
        names: Files of further queries.
        hits: Number of places of each list.
        output: The PNG file.
        root: Where the images lie now; None takes the folder that the test read.

    Returns:
        Number of queries that were drawn.

    Raises:
        InputError: The test kept no lists, its images are not there, or no such query.
    """
    lists = read_lists(folder / RANKING_FILE, root)
    queries = [query_named(lists, name) for name in names]
    for which, count in counts.items():
        queries += chosen(lists, which, count)
    rows = [row for query in dict.fromkeys(queries) for row in _rows(lists, query, hits)]
    if len(rows) > MOST_ROWS:
        raise InputError(f"{len(rows)} rows make no picture to look at; ask for fewer queries")
    sheet = draw_ranked(rows)
    write_whole(output, lambda file: sheet.save(file, "PNG"))
    return len(dict.fromkeys(queries))


def _rows(lists: Lists, query: int, hits: int) -> list[RankedRow]:
    """Returns a row for each ranking of a query."""
    place = f"id {lists.query.pids[query]}", f"camera {lists.query.camids[query] + 1}"
    shown = Tile(picture_of(lists, "query", query), None, place)
    rows: list[RankedRow] = []
    for name in lists.rankings:
        what = found(lists, name, query, hits)
        tiles = [
            Tile(
                picture_of(lists, "gallery", hit.image),
                hit.right,
                (f"{hit.distance:.3f}", f"id {hit.pid} c{hit.camid + 1}"),
            )
            for hit in what.hits
        ]
        rows.append(RankedRow(None if rows else shown, tiles, _caption(lists, query, name, what)))
    return rows


def _caption(lists: Lists, query: int, name: str, what: Found) -> str:
    file = lists.path("query", query)
    whose = f"{file.name}, " if file is not None and name == "plain" else ""
    return f"{whose}{name}: AP {what.ap:.1%}, first match at place {what.first_hit + 1}"


def picture_of(lists: Lists, side: str, index: int) -> np.ndarray:
    """Returns an image of a test, (128, 64, 3) uint8.

    Args:
        lists: The lists of the test.
        side: "query" or "gallery".
        index: Number of the image.

    Raises:
        InputError: The file is not there, or saved features were tested.
    """
    path = lists.path(side, index)
    if path is None:
        raise InputError("saved features were tested, and they have no images to show")
    if not path.exists():
        raise InputError(f"{path} does not exist; say where the data sets are now: --data FOLDER")
    return _decoded(path)


@lru_cache(maxsize=4096)
def _decoded(path: Path) -> np.ndarray:
    return decode(path, SIZE)
