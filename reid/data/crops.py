"""A list of crops with the names of people and cameras becomes a data set.

Names are any text. Pids and camids are their ranks among the sorted names, so that they do not
depend on the order of files or rows.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reid.data.records import SPLITS, Drawn, ImageRecord, Records, Splits
from reid.data.splitting import by_path, cut_query, draw_closed, draw_open
from reid.utils.errors import InputError, unknown
from reid.utils.seeding import derive_seed

# "test" is cut into query and gallery by a rule; "val" is a test that picks the best checkpoint.
WORDS = ("train", "val", "query", "gallery", "test")
JUNK = "-1"  # as in Market-1501: shows nobody
_VAL, _TEST = 1, 2  # what a seed is derived for, beside the number of the split


@dataclass
class Crops:
    """Columns of a list of crops, a row for each image.

    Attributes:
        paths: Absolute paths, each once for a split.
        identities: Names of the people.
        cameras: Names of the cameras; None where they are unknown.
        splits: Of :data:`WORDS`; None where nobody has split the images.
        root: Folder of the images, for a split that is written down.
        notes: By split ("train", "query", "gallery"), what is worth knowing.
    """

    paths: Sequence[str]
    identities: Sequence[str]
    cameras: Sequence[str] | None
    splits: Sequence[str] | None
    root: Path
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def split_word(text: str) -> str:
    """Returns one of :data:`WORDS`, whatever the case in which it is written.

    Raises:
        InputError: It is none of them.
    """
    word = text.strip().lower()
    if word not in WORDS:
        raise unknown("split", text.strip()[:80], WORDS)
    return word


def as_splits(
    crops: Crops, name: str, train: bool, split: int, train_fraction: float, closed_set: bool
) -> Splits:
    """Numbers people and cameras, and splits what is not split yet.

    Args:
        crops: The list.
        name: Name of the data set, for messages.
        train: Whether the training images are needed.
        split: Number of the random split.
        train_fraction: Fraction of the people (of the images of each person, if the set is closed)
            that goes to train where the list has no split.
        closed_set: Whether the people of train are those of the test.

    Raises:
        InputError: The list is empty, or people of train are searched for in an open set.
        ArgumentError: There are too few people to split.
    """
    people, cameras = _ranks(crops.identities, JUNK), _ranks(crops.cameras or ())
    known = len(cameras) > 1
    shown = [row for row, person in enumerate(crops.identities) if person != JUNK]
    if not shown:
        raise InputError("there is no image of a person")
    folders: dict[str, Path] = {}  # a folder is parsed once, which takes most of the time
    records = tuple(
        ImageRecord(
            _path(crops.paths[row], folders),
            people[crops.identities[row]],
            cameras[crops.cameras[row]] if crops.cameras else 0,
        )
        for row in shown
    )
    if crops.splits is None:
        parts, rule = _draw(records, split, train_fraction, closed_set, known)
    else:
        parts, rule = _as_listed([crops.splits[row] for row in shown], records, split, known)
    if not closed_set:
        _check_open(parts, {number: text for text, number in people.items()})
    drawn = Drawn(
        rule,
        crops.root,
        {number: text for text, number in people.items()},
        {number: text for text, number in cameras.items()} if known else {},
        {**parts, "val": parts["val"] + parts["val_gallery"]},
    )
    return Splits(
        parts["train"] if train else (),
        parts["query"],
        parts["gallery"],
        notes={word: crops.notes.get(word, ()) for word in SPLITS},
        val=(parts["val"], parts["val_gallery"]) if train else ((), ()),
        closed_set=closed_set,
        cameras_known=known,
        drawn={name: drawn} if rule else {},
    )


def _path(text: str, folders: dict[str, Path]) -> Path:
    folder, name = os.path.split(text)
    if folder not in folders:
        folders[folder] = Path(folder)
    return folders[folder] / name


def _ranks(names: Iterable[str], but: str = "") -> dict[str, int]:
    """Returns the rank of each name among the sorted ones; ``but`` is left out.

    Raises:
        InputError: Of two names one is a number, and the other the same with ".0": a table that was
            saved with missing cells turns 1 into 1.0, and one person would become two.
    """
    found = set(names) - {but}
    for name in sorted(found):
        if name.endswith(".0") and name[:-2] in found:
            raise InputError(
                f"'{name[:-2]}' and '{name}' are both there, and would be two; write them alike"
            )
    return {name: rank for rank, name in enumerate(sorted(found))}


def _draw(
    records: Records, split: int, train_fraction: float, closed_set: bool, known: bool
) -> tuple[dict[str, Records], str]:
    """Returns the images by split, and the rule in a sentence."""
    draw = draw_closed if closed_set else draw_open
    parts = draw(records, train_fraction, derive_seed(split), any_camera=not known)
    what = "the images of each person" if closed_set else _people(len({r.pid for r in records}))
    rule = (
        f"random split {split} (DATASETS.SPLIT): {train_fraction:.0%} of {what} to train;"
        f" {_cut_rule(known)}"
    )
    return {"val": (), "val_gallery": (), **dict(zip(SPLITS, parts, strict=True))}, rule


def _people(number: int) -> str:
    return f"{number} people"


def _cut_rule(known: bool) -> str:
    if known:
        return "of each person of the test one image a camera is a query, the rest is gallery"
    return "of each person of the test one image is a query, the rest is gallery"


def _as_listed(
    words: Sequence[str], records: Records, split: int, known: bool
) -> tuple[dict[str, Records], str]:
    """Returns the images by split as the list says, and the rule by which a test was cut, or ""."""
    by_word: dict[str, list[ImageRecord]] = {word: [] for word in WORDS}
    for word, record in zip(words, records, strict=True):
        by_word[word].append(record)
    if by_word["test"] and (by_word["query"] or by_word["gallery"]):
        raise InputError(
            "there are images of split test, which is cut into query and gallery, beside images of"
            " query or gallery; use one of the two ways"
        )
    parts = {word: by_path(by_word[word]) for word in SPLITS}
    for word, seed, names in (
        ("val", derive_seed(split, _VAL), ("val", "val_gallery")),
        ("test", derive_seed(split, _TEST), ("query", "gallery")),
    ):
        if by_word[word] or word == "val":
            rng = np.random.default_rng(seed)
            cut = cut_query(by_path(by_word[word]), rng, any_camera=not known)
            parts.update(zip(names, cut, strict=True))
    rule = f"test is cut by random split {split} (DATASETS.SPLIT): {_cut_rule(known)}"
    return parts, rule if by_word["test"] else ""


def _check_open(parts: Mapping[str, Records], names: Mapping[int, str]) -> None:
    """Raises InputError if people of train are searched for, or those of val in another split."""
    pids = {word: {r.pid for r in part} for word, part in parts.items()}
    for one, other in (("train", "query"), ("train", "val"), ("val", "query")):
        shared = sorted(pids[one] & pids[other])
        if shared:
            raise InputError(
                f"{len(shared)} people are in both {one} and {other} (first:"
                f" '{names[shared[0]]}'); if that is meant (a closed set), set CLOSED_SET True"
            )
