"""Data sets of two cameras with one picture of a person each, and repeated random splits."""

import re
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import numpy as np

from reid.data.layout import SUFFIXES
from reid.data.records import Drawn, ImageRecord, Records, Splits
from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed

Views = tuple[Records, Records]


def read_views(home: Path, folders: Sequence[str], name: re.Pattern[str]) -> Views:
    """Reads a folder for each camera; the first group of the names is the person.

    Args:
        home: Folder of the data set.
        folders: Names of the folders of the cameras.
        name: Pattern of the names without their endings.

    Raises:
        InputError: A name is of another form, or a folder has no image.
    """
    records = []
    for camid, folder in enumerate(folders):
        for path in sorted((home / folder).iterdir()):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            match = name.match(path.stem)
            if match is None:
                raise InputError(f"{path}: the name tells no person; it should fit {name.pattern}")
            records.append(ImageRecord(path, int(match[1]), camid))
    return by_view(records)


def by_view(records: Iterable[ImageRecord]) -> Views:
    """Returns the images of camera 0 and of camera 1, each sorted by person.

    Raises:
        InputError: A person is twice in a camera, or a camera has no image.
    """
    views: list[dict[int, ImageRecord]] = [{}, {}]
    for record in records:
        view = views[record.camid]
        if record.pid in view:
            raise InputError(
                f"{record.path} and {view[record.pid].path} show person {record.pid}; there is one"
                " picture of a person and a camera"
            )
        view[record.pid] = record
    if not all(views):
        raise InputError("one of the two cameras has no image")
    a, b = (tuple(view[pid] for pid in sorted(view)) for view in views)
    return a, b


def half_split(
    views: Views,
    root: Path,
    name: str,
    split: int,
    train: bool,
    people: Container[int] | None = None,
) -> Splits:
    """Deals half of the people who are in both cameras to train; camera a searches in camera b.

    Args:
        views: The images of the two cameras.
        root: Folder of the data set.
        name: Name of the data set.
        split: Number of the split, from which the people are drawn.
        train: Whether the training images are needed.
        people: Who may be trained on and searched for; None is everybody. Others are in the
            gallery only.
    """
    both = {r.pid for r in views[0]} & {r.pid for r in views[1]}
    usable = [pid for pid in sorted(both) if people is None or pid in people]
    rng = np.random.default_rng(derive_seed(split))
    trained = {usable[i] for i in rng.permutation(len(usable))[: len(usable) // 2].tolist()}
    test = whole_test(views, set(usable) - trained)
    gallery = tuple(record for record in test.gallery if record.pid not in trained)
    training = tuple(sorted(r for view in views for r in view if r.pid in trained))
    drawn = Drawn(
        rule=f"random split {split} (DATASETS.SPLIT): {len(trained)} of {len(usable)} people to"
        " train; of the others camera a searches in camera b",
        root=root,
        identities={r.pid: f"{r.pid:04}" for view in views for r in view},
        cameras={0: "a", 1: "b"},
        splits={"train": training, "query": test.query, "gallery": gallery},
    )
    return test._replace(train=training if train else (), gallery=gallery, drawn={name: drawn})


def whole_test(views: Views, people: Container[int]) -> Splits:
    """Returns the test in which ``people`` of camera a search among everybody of camera b.

    Args:
        views: The images of the two cameras.
        people: Who is searched for.
    """
    query = tuple(record for record in views[0] if record.pid in people)
    notes: dict[str, list[str]] = {"train": [], "query": [], "gallery": []}
    return Splits((), query, views[1], notes=notes)
