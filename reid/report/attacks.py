"""What an attack did to the hits of a run, for the page."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from reid.report.queries import data_uri
from reid.report.runs import Run
from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError

SHEETS = 4  # contact sheets of a run
MOST_BYTES = 16 << 20  # of a file that is taken over
QUALITY = 85  # of JPEG: a fifth of the bytes, and nobody measures perturbations on a page


class Attacked(NamedTuple):
    """First hits before and under an attack, counts of queries.

    Attributes:
        name: The perturbation.
        level: Budget in 1/255, or severity.
        stayed: Right on clean images, and right under the attack.
        lost: Right on clean images, wrong under the attack.
        gained: Wrong on clean images, right under the attack.
        failed: Wrong on both.
    """

    name: str
    level: float
    stayed: int
    lost: int
    gained: int
    failed: int


class Picture(NamedTuple):
    """A picture file that a page takes over.

    Attributes:
        title: Its title.
        uri: A data URI.
    """

    title: str
    uri: str


def attack_rows(run: Run) -> Sequence[Mapping[str, Any]]:
    """Returns the rows of a run's robustness.json; none if it was not attacked."""
    return (run.attack or {}).get("rows", [])


def attacked_hits(run: Run) -> list[Attacked]:
    """Returns what became of the first hits of the plain ranking under each perturbation.

    Raises:
        InputError: The file of the queries is missing or damaged.
    """
    rows = attack_rows(run)
    plain = [i for i, row in enumerate(rows) if row["ranking"] == "plain"]
    clean = [i for i in plain if rows[i]["kind"] == "clean"]
    if not clean:
        return []
    keys = [f"{i}/first_hit" for i in plain]
    first = read_arrays(run.folder / "attack" / "per_query.npz", keys)
    before = first[f"{clean[0]}/first_hit"] == 0
    found = []
    for i in plain:
        if rows[i]["kind"] in ("attack", "worst", "corruption"):
            after = first[f"{i}/first_hit"] == 0
            if after.shape != before.shape:
                raise InputError(f"{run.folder}/attack/per_query.npz is of another run")
            counts = (before & after, before & ~after, ~before & after, ~before & ~after)
            level = float(rows[i]["level"])
            found.append(Attacked(rows[i]["name"], level, *(int(c.sum()) for c in counts)))
    return found


def sheets(run: Run) -> list[Picture]:
    """Returns the pictures of an attack that saved images: queries and hits before and after."""
    files = sorted((run.folder / "attack" / "images").glob("*.png"))[:SHEETS]
    return [picture for file in files for picture in taken_over(file, _title(file))]


def _title(file: Path) -> str:
    return re.sub(r"_eps([\d.]+)$", r", eps \1", file.stem)


def taken_over(file: Path, title: str) -> list[Picture]:
    """Returns a PNG file as a picture of the page; none if it is missing, damaged or huge.

    Args:
        file: The file.
        title: Its title.
    """
    if not file.is_file() or file.stat().st_size > MOST_BYTES:
        return []
    smaller = io.BytesIO()
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            picture.convert("RGB").save(smaller, "JPEG", quality=QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return []
    return [Picture(title, data_uri("image/jpeg", smaller.getvalue()))]
