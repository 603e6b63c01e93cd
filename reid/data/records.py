"""What a data set is: three sorted tuples of records, and the checks that hold for all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from reid.utils.errors import InputError

JUNK_PID = -1


class ImageRecord(NamedTuple):
    """One crop on disk.

    Attributes:
        path: The image file.
        pid: Identity as in the file name; -1 is junk.
        camid: Camera, 0-based.
        source: Number of the data set that it is from, where a run has several.
    """

    path: Path
    pid: int
    camid: int
    source: int = 0


Records = tuple[ImageRecord, ...]


class Counts(NamedTuple):
    """Sizes of one split; None where the authors publish no number."""

    images: int
    ids: int | None
    cameras: int | None


class Drawn(NamedTuple):
    """A split that a seeded rule made, with what others need to repeat it.

    Attributes:
        rule: The rule, in a sentence.
        root: Folder that the paths are relative to when the split is written down.
        identities: Name of each pid.
        cameras: Name of each camid; empty where cameras are unknown.
        splits: All images by "train", "val", "query" and "gallery", also where training images were
            not asked for.
    """

    rule: str
    root: Path
    identities: Mapping[int, str]
    cameras: Mapping[int, str]
    splits: Mapping[str, Records]


class Splits(NamedTuple):
    """A data set.

    Attributes:
        train: Training images; empty if only testing was asked for.
        query: Images that are searched for.
        gallery: Images that are searched.
        distractor_pid: The pid of gallery images that show nobody who is searched for: 0 in
            Market-1501; None where each pid is a person.
        notes: By split, sentences on what lies in its folder and was passed over, or is odd.
        unreadable: By split, the number of images that were left out because they cannot be read.
        published: Counts that the authors give, by split; None compares with nothing.
        val: Query and gallery that pick the best checkpoint, where the data set brings them.
        closed_set: Whether people of train may be searched for.
        cameras_known: Whether camids say which camera took an image.
        drawn: By name of the data set, the splits that a rule made.
    """

    train: Records
    query: Records
    gallery: Records
    distractor_pid: int | None = None
    notes: Mapping[str, Sequence[str]] = MappingProxyType({})
    unreadable: Mapping[str, int] = MappingProxyType({})
    published: Mapping[str, Counts] | None = None
    val: tuple[Records, Records] = ((), ())
    closed_set: bool = False
    cameras_known: bool = True
    drawn: Mapping[str, Drawn] = MappingProxyType({})


SPLITS = ("train", "query", "gallery")


def count(records: Records) -> Counts:
    """Counts images, distinct pids (that of distractors is one of them) and cameras."""
    return Counts(len(records), len({r.pid for r in records}), len({r.camid for r in records}))


def label_of_pid(records: Records) -> dict[int, int]:
    """Maps each train pid to its rank among the sorted train pids, 0..num_classes-1.

    A rank depends only on the set of identities, and not on the order in which a folder is listed.
    So the labels of a classifier are the same on every machine.
    """
    return {pid: label for label, pid in enumerate(sorted({r.pid for r in records}))}


def check_splits(splits: Splits, name: str) -> Splits:
    """Returns ``splits``; raises InputError if identities of train reappear in the query.

    A closed set passes.

    Args:
        splits: A data set.
        name: Name of the data set, for the message.

    Raises:
        InputError: An identity is in both train and query.
    """
    shared = sorted({r.pid for r in splits.train} & {r.pid for r in splits.query})
    if shared and not splits.closed_set:
        raise InputError(
            f"{name}: {len(shared)} identities are in both train and query (first: {shared[0]});"
            " the folders of two data sets seem to be mixed"
        )
    return splits


def describe_counts(splits: Splits) -> tuple[list[list[object]], list[str]]:
    """Compares the counts found with the published ones.

    Args:
        splits: A data set.

    Returns:
        Rows ``[split, images, ids, cameras, published]`` for a table, and one warning for each
        number that differs, naming both.
    """
    rows: list[list[object]] = []
    warnings = []
    records_of = (splits.train, splits.query, splits.gallery)
    for split, records in zip(SPLITS, records_of, strict=True):
        if not records:
            continue
        found = count(records)
        expected = splits.published.get(split) if splits.published else None
        for field, have, want in zip(Counts._fields, found, expected or (), strict=False):
            if want is not None and have != want:
                warnings.append(f"{split}: {have} {field} found, {want} published")
        shown = "/".join("-" if n is None else str(n) for n in expected or ())
        rows.append([split, *found, shown])
    return rows, warnings
