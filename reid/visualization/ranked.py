"""Ranked lists as a picture: each query and what it found, a row for each ranking."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from reid.utils.errors import ArgumentError
from reid.visualization.tiles import Tile, draw_tiles


class RankedRow(NamedTuple):
    """What one ranking found for a query.

    Attributes:
        query: The query; None leaves its place empty, in the second row of a query.
        hits: Gallery images, the nearest first.
        caption: Text below the row.
    """

    query: Tile | None
    hits: Sequence[Tile]
    caption: str


def draw_ranked(rows: Sequence[RankedRow]) -> Image.Image:
    """Draws ranked lists. Hits of another identity have a red frame and a cross.

    Args:
        rows: The rows, from top to bottom; all pictures have one size.

    Raises:
        ArgumentError: There are no rows.
    """
    if not rows:
        raise ArgumentError("rows", "must hold at least one ranked list, got none")
    longest = max(len(row.hits) for row in rows)
    titles = {0: "query", **{place: str(place) for place in range(1, longest + 1)}}
    return draw_tiles(
        [[row.query, *row.hits] for row in rows],
        titles=titles,
        captions=[row.caption for row in rows],
        wider_before=(1,),
    )
