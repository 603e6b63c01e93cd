"""Your own people, as a folder: a folder for each person, for each split and person, or names."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from reid.data.crops import WORDS, Crops, as_splits
from reid.data.datasets.registry import DATASETS
from reid.data.layout import NAME, look, notes_of, parse_name
from reid.data.records import Splits
from reid.utils.checks import PathText, Probability
from reid.utils.errors import ArgumentError, InputError

# What other frameworks call the folders of the splits.
SPLIT_FOLDERS = {
    **{word: word for word in WORDS},
    "bounding_box_train": "train",
    "bounding_box_test": "gallery",
    "train_all": "train",
}


@DATASETS.register("folder")
def folder(
    train: bool,
    split: int,
    path: PathText = "",
    train_fraction: Probability = 0.5,
    closed_set: bool = False,
) -> Splits:
    """Loads PERSON/*.jpg, SPLIT/PERSON/*.jpg, or images named as in Market-1501 in place of PERSON.

    Cameras are read off the names where all of them are as in Market-1501 (0002_c1s1_000451_03.jpg)
    and agree with the folders; otherwise they are unknown. Where there is no split, a seeded rule
    makes one.

    Args:
        train: Whether the training images are needed.
        split: Number of the random split.
        path: The folder. Splits are called train, val, query, gallery, or test, which is cut into
            query and gallery.
        train_fraction: Fraction of the people that a random split trains on; of the images of each
            person, if CLOSED_SET is True.
        closed_set: Whether the people of train may be searched for.
    """
    if not path:
        raise ArgumentError("path", "is empty; name the folder that holds the images")
    root = Path(os.path.abspath(path))
    if not root.is_dir():
        problem = "is no folder" if root.exists() else "does not exist"
        raise ArgumentError("path", f"{root} {problem}; name the folder that holds the images")
    crops = _crops(root, _split_folders(root))
    return as_splits(crops, "folder", train, split, train_fraction, closed_set)


def _split_folders(root: Path) -> dict[str, Path]:
    """Returns the folders of the splits by split; empty where nobody has split the images.

    Raises:
        InputError: Two folders are of one split, other folders lie beside those of splits, or the
            folder cannot be listed.
    """
    try:
        below = sorted(one for one in root.iterdir() if one.is_dir() and one.name[:1] != ".")
    except OSError as error:
        raise InputError(f"{root} cannot be listed: {error.strerror}") from error
    named = {one: SPLIT_FOLDERS.get(one.name.lower()) for one in below}
    if not any(named.values()):
        return {}
    found: dict[str, Path] = {}
    for one, word in named.items():
        if word is None:
            known = ", ".join(sorted(SPLIT_FOLDERS))
            raise InputError(f"{one} lies beside folders of splits, and is none ({known})")
        if word in found:
            raise InputError(f"{found[word]} and {one} are both of split {word}")
        found[word] = one
    return found


def _crops(root: Path, folders: Mapping[str, Path]) -> Crops:
    paths: list[Path] = []
    words: list[str] = []
    homes: list[Path] = []
    notes: dict[str, list[str]] = {}
    for word, home in folders.items() or [("train", root)]:
        found = look(home)
        images = sorted(found.images, key=str)
        remarks = notes_of(found, names_are_unique=False)
        _check_images(home, images, remarks)
        paths += images
        words += [word] * len(images)
        homes += [home] * len(images)
        notes["gallery" if word == "test" else word] = remarks
    people, cameras = _names(paths, homes)
    return Crops(
        [str(path) for path in paths], people, cameras, words if folders else None, root, notes
    )


def _check_images(home: Path, images: Sequence[Path], notes: Sequence[str]) -> None:
    """Raises InputError for a folder without images, and for one with images in two ways."""
    if not images:
        also = "".join(f"; {note}" for note in notes)
        raise InputError(f"{home}: no images in this folder, or in folders of people in it{also}")
    flat = [path for path in images if path.parent == home]
    if flat and len(flat) < len(images):
        raise InputError(
            f"{home}: {len(flat)} images lie beside folders with images (first: {flat[0].name});"
            " put each into the folder of its person"
        )


def _names(paths: Sequence[Path], homes: Sequence[Path]) -> tuple[list[str], list[str] | None]:
    """Returns the person of each image, and its camera where all names tell it."""
    flat = [path.parent == home for path, home in zip(paths, homes, strict=True)]
    if any(flat) and not all(flat):
        raise InputError(
            f"{homes[flat.index(True)]} holds images, and {homes[flat.index(False)]} folders of"
            " people; lay both out in the same way"
        )
    if all(flat):
        parsed = [parse_name(path) for path in paths]
        width = max(len(str(pid)) for pid, _ in parsed)
        people = ["-1" if pid < 0 else f"{pid:0{max(width, 4)}}" for pid, _ in parsed]
        return people, [f"{camid + 1:03}" for _, camid in parsed]
    people = [path.parent.name for path in paths]
    cameras = []
    for path, person in zip(paths, people, strict=True):
        match = NAME.match(path.stem)
        if match is None or not person.lstrip("-").isdecimal() or int(match[1]) != int(person):
            return people, None
        cameras.append(f"{int(match[2]):03}")
    return people, cameras
