"""What a data set is: three sorted tuples of records, and the checks that hold for all of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from reid.utils.errors import ArgumentError, InputError

JUNK_PID = -1


class ImageRecord(NamedTuple):
    """One crop on disk.

    Attributes:
        path: The image file.
        pid: Identity as in the file name; -1 is junk.
        camid: Camera, 0-based.
    """

    path: Path
    pid: int
    camid: int


Records = tuple[ImageRecord, ...]


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
    """

    train: Records
    query: Records
    gallery: Records
    distractor_pid: int | None = None
    notes: Mapping[str, Sequence[str]] = MappingProxyType({})
    unreadable: Mapping[str, int] = MappingProxyType({})


SPLITS = ("train", "query", "gallery")


class Counts(NamedTuple):
    """Sizes of one split; ``ids`` is None where the authors publish no number."""

    images: int
    ids: int | None
    cameras: int


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

    Args:
        splits: A data set.
        name: Name of the data set, for the message.

    Raises:
        InputError: An identity is in both train and query.
    """
    shared = sorted({r.pid for r in splits.train} & {r.pid for r in splits.query})
    if shared:
        raise InputError(
            f"{name}: {len(shared)} identities are in both train and query (first: {shared[0]});"
            " the folders of two data sets seem to be mixed"
        )
    return splits


def describe_counts(
    splits: Splits, published: Mapping[str, Counts] | None = None
) -> tuple[list[list[object]], list[str]]:
    """Compares the counts found with the published ones.

    Args:
        splits: A data set.
        published: Counts that the authors give, by split; None compares with nothing.

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
        expected = published.get(split) if published else None
        for field, have, want in zip(Counts._fields, found, expected or (), strict=False):
            if want is not None and have != want:
                warnings.append(f"{split}: {have} {field} found, {want} published")
        shown = "/".join("-" if n is None else str(n) for n in expected or ())
        rows.append([split, *found, shown])
    return rows, warnings


def cut_validation(train: Records, fraction: float, seed: int, any_camera: bool = False) -> Splits:
    """Cuts an identity-disjoint validation set from the training records.

    Of each held-out identity one image per camera is a query and the rest is gallery, as in
    Market-1501; an identity that has fewer than two cameras is kept for training, since it could
    never be matched across cameras.

    Args:
        train: All training records.
        fraction: Fraction of the train identities to hold out, in (0, 1).
        seed: Seed by which identities and query images are chosen.
        any_camera: Take no notice of cameras: of each held-out identity one image is a query, and
            an identity needs two images.

    Raises:
        ArgumentError: Fewer than two identities would remain on either side.
    """
    rng = np.random.default_rng(seed)
    by_pid: dict[int, dict[int, list[ImageRecord]]] = {}
    for record in train:
        camera = 0 if any_camera else record.camid
        by_pid.setdefault(record.pid, {}).setdefault(camera, []).append(record)
    least = 1 if any_camera else 2
    usable = [pid for pid in sorted(by_pid) if _matchable(by_pid[pid].values(), least)]
    wanted = round(fraction * len(by_pid))
    if not 2 <= wanted <= min(len(usable), len(by_pid) - 2):
        raise ArgumentError(
            "fraction",
            f"{fraction} of {len(by_pid)} train identities is {wanted}; at least 2 must be held"
            f" out, 2 kept, and {len(usable)} "
            + ("have two images" if any_camera else "are seen by two cameras"),
        )
    held = {usable[i] for i in rng.permutation(len(usable))[:wanted]}
    query = {
        images[int(rng.integers(len(images)))]
        for pid in sorted(held)
        for images in (by_pid[pid][camid] for camid in sorted(by_pid[pid]))
        if len(images) > 1
    }
    gallery = [r for r in train if r.pid in held and r not in query]
    return Splits(
        tuple(r for r in train if r.pid not in held), tuple(sorted(query)), tuple(gallery)
    )


def _matchable(cameras: Iterable[list[ImageRecord]], least: int) -> bool:
    """True if some image can be a query that finds an image of ``least`` cameras in the gallery."""
    sizes = sorted((len(images) for images in cameras), reverse=True)
    return len(sizes) >= least and sizes[0] > 1
