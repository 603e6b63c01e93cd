"""Ranked lists of a test with small pictures, for the page."""

import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from reid.data.images import decode
from reid.evaluation.lists import Found, Lists, chosen, found
from reid.utils.errors import InputError

SIZE = (128, 64)  # height and width of a picture, pixels
QUALITY = 80  # of JPEG
HITS = 10


class Shown(NamedTuple):
    """A query on the page.

    Attributes:
        name: Name of its file, or its number.
        which: Why it is shown: "worst", "median" or "best".
        picture: A data URI; "" where there is none.
        pid: Its identity.
        camid: Its camera.
        found: What each ranking found, by its name.
        pictures: Data URIs of the gallery images that were found.
    """

    name: str
    which: str
    picture: str
    pid: int
    camid: int
    found: dict[str, Found]
    pictures: dict[int, str]


def shown_queries(lists: Lists, counts: dict[str, int]) -> list[Shown]:
    """Returns the queries that the page shows, each once.

    Args:
        lists: The lists of a test.
        counts: How many, by "worst", "median" and "best".
    """
    by_query: dict[int, str] = {}
    for which, count in counts.items():
        for query in chosen(lists, which, count):
            by_query.setdefault(query, which)
    return [_shown(lists, query, which) for query, which in by_query.items()]


def _shown(lists: Lists, query: int, which: str) -> Shown:
    results = {name: found(lists, name, query, HITS) for name in lists.rankings}
    indices = sorted({hit.image for one in results.values() for hit in one.hits})
    path = lists.path("query", query)
    return Shown(
        name=f"query {query}" if path is None else path.name,
        which=which,
        picture=_uri(path),
        pid=int(lists.query.pids[query]),
        camid=int(lists.query.camids[query]),
        found=results,
        pictures={index: _uri(lists.path("gallery", index)) for index in indices},
    )


@lru_cache(maxsize=8192)
def _uri(path: Path | None) -> str:
    """Returns a small JPEG as a data URI; "" where the image is not there or cannot be read."""
    if path is None or not path.is_file():
        return ""
    try:
        pixels = decode(path, SIZE)
    except (InputError, OSError):
        return ""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return data_uri("image/jpeg", file.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """Returns bytes as an address that holds them.

    Args:
        kind: Their media type.
        content: The bytes.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
