"""How people and images are dealt to train, query and gallery where nobody has done it.

Every rule goes through identities and images in sorted order and draws from a generator of its own,
so that the order of files and rows changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from reid.data.records import ImageRecord, Records, Splits
from reid.utils.errors import ArgumentError

ByCamera = Mapping[int, Sequence[ImageRecord]]  # the images of one identity


def by_identity(records: Iterable[ImageRecord], any_camera: bool) -> dict[int, ByCamera]:
    """Groups images by pid and camera, in the order in which they come.

    Args:
        records: The images.
        any_camera: Take no notice of cameras: all images are of camera 0.
    """
    groups: dict[int, dict[int, list[ImageRecord]]] = {}
    for record in records:
        camera = 0 if any_camera else record.camid
        groups.setdefault(record.pid, {}).setdefault(camera, []).append(record)
    return {**groups}


def by_path(records: Iterable[ImageRecord]) -> Records:
    """Sorts images by the text of their paths, which takes a tenth of the time of sorting paths."""
    return tuple(sorted(records, key=lambda record: str(record.path)))


def cut_query(
    records: Records, rng: np.random.Generator, any_camera: bool = False
) -> tuple[Records, Records]:
    """Cuts test images into query and gallery, each in the order in which they come.

    Of an identity one image per camera is a query and the rest is gallery, as in Market-1501. A
    camera that took one image gives no query; where each took one, the image of the first camera
    is the query, as in VIPeR. An identity of one camera is gallery only, since it could never be
    matched across cameras.

    Args:
        records: The images.
        rng: Draws the query among the images of a camera.
        any_camera: Take no notice of cameras: of an identity with two images one is a query.
    """
    query: set[int] = set()  # by id(): to hash a path takes longer than the rest
    groups = by_identity(records, any_camera)
    for pid in sorted(groups):
        query.update(map(id, _queries(groups[pid], rng, any_camera)))
    return (
        tuple(record for record in records if id(record) in query),
        tuple(record for record in records if id(record) not in query),
    )


def _queries(
    by_camera: ByCamera, rng: np.random.Generator, any_camera: bool
) -> Iterable[ImageRecord]:
    if not _matchable(by_camera, any_camera):
        return []
    several = [by_camera[camid] for camid in sorted(by_camera) if len(by_camera[camid]) > 1]
    if several:
        return [images[int(rng.integers(len(images)))] for images in several]
    return by_camera[min(by_camera)]


def _matchable(by_camera: ByCamera, any_camera: bool) -> bool:
    """Says whether some image of an identity can be a query that finds another one."""
    return len(by_camera[0]) > 1 if any_camera else len(by_camera) > 1


def draw_open(
    records: Records, train_fraction: float, seed: int, any_camera: bool = False
) -> tuple[Records, Records, Records]:
    """Deals identities to train and to the test, at random, and cuts the test by :func:`cut_query`.

    Identities that can be matched and those that cannot are dealt separately, each in the same
    proportion, so that the test has people to search for.

    Args:
        records: All images.
        train_fraction: Fraction of the identities that goes to train, in [0, 1]. Between 0 and 1
            each side has an identity, and the test one that can be matched.
        seed: Seed of the draw.
        any_camera: Take no notice of cameras.

    Returns:
        Train, query and gallery, each sorted by path.

    Raises:
        ArgumentError: There are no two identities, or none can be matched.
    """
    rng = np.random.default_rng(seed)
    records = by_path(records)
    groups = by_identity(records, any_camera)
    usable = [pid for pid in sorted(groups) if _matchable(groups[pid], any_camera)]
    others = sorted(groups.keys() - set(usable))
    if 0 < train_fraction < 1 and (len(groups) < 2 or not usable):
        needed = "two images" if any_camera else "images of two cameras"
        raise ArgumentError(
            "train_fraction",
            f"{train_fraction} of {_people(len(groups))}, {len(usable)} of whom can be searched for"
            f" ({needed}): a split needs two people, one of whom can be searched for",
        )
    counts = [round(train_fraction * len(pids)) for pids in (usable, others)]
    if 0 < train_fraction < 1:
        counts[0] = min(counts[0], len(usable) - 1)
        if not any(counts):
            counts = [1, 0] if len(usable) > 1 else [0, 1]
    trained = {
        pids[i]
        for pids, number in zip((usable, others), counts, strict=True)
        for i in rng.permutation(len(pids))[:number].tolist()
    }
    train = tuple(r for r in records if r.pid in trained)
    test = tuple(r for r in records if r.pid not in trained)
    return (train, *cut_query(test, rng, any_camera))


def draw_closed(
    records: Records, train_fraction: float, seed: int, any_camera: bool = False
) -> tuple[Records, Records, Records]:
    """Deals the images of each identity to train and to the test: the same people are in both.

    Args:
        records: All images.
        train_fraction: Fraction of the images of an identity and a camera that goes to train.
        seed: Seed of the draw.
        any_camera: Take no notice of cameras.

    Returns:
        Train, query and gallery, each sorted by path.
    """
    rng = np.random.default_rng(seed)
    records = by_path(records)
    groups = by_identity(records, any_camera)
    train: set[int] = set()  # by id()
    for pid in sorted(groups):
        for camid in sorted(groups[pid]):
            images = groups[pid][camid]
            number = round(train_fraction * len(images))
            train.update(id(images[i]) for i in rng.permutation(len(images))[:number].tolist())
    test = tuple(record for record in records if id(record) not in train)
    return (
        tuple(record for record in records if id(record) in train),
        *cut_query(test, rng, any_camera),
    )


def _people(number: int) -> str:
    return "one person" if number == 1 else f"{number} people"


def cut_validation(train: Records, fraction: float, seed: int, any_camera: bool = False) -> Splits:
    """Cuts an identity-disjoint validation set from the training records, by :func:`cut_query`.

    An identity that has fewer than two cameras is kept for training. One that each camera took once
    is held out only where the others are too few.

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
    groups = by_identity(train, any_camera)
    wanted = round(fraction * len(groups))

    def having(accepted: Callable[[ByCamera], bool]) -> list[int]:
        return [
            pid
            for pid in sorted(groups)
            if _matchable(groups[pid], any_camera) and accepted(groups[pid])
        ]

    usable = having(lambda by_camera: max(map(len, by_camera.values())) > 1)
    if wanted > len(usable):
        usable = having(lambda by_camera: True)
    if not 2 <= wanted <= min(len(usable), len(groups) - 2):
        raise ArgumentError(
            "fraction",
            f"{fraction} of {len(groups)} train identities is {wanted}; at least 2 must be held"
            f" out, 2 kept, and {len(usable)} "
            + ("have two images" if any_camera else "are seen by two cameras"),
        )
    held = {usable[i] for i in rng.permutation(len(usable))[:wanted]}
    query, gallery = cut_query(tuple(r for r in train if r.pid in held), rng, any_camera)
    return Splits(tuple(r for r in train if r.pid not in held), query, gallery)
