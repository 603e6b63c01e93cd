"""Finds the folders of data sets, and reads identity and camera from file names."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from reid.data.records import JUNK_PID, ImageRecord, Records, Splits, check_splits
from reid.utils.errors import InputError

# Market: 0002_c1s1_000451_03.jpg and -1_c1s1_000401_03.jpg; Duke: 0002_c1_f0044158.jpg.
# The pattern is matched against the whole base name, and not against the path: a folder called
# run1_c2 says nothing, and camera 12 is not camera 1.
NAME = re.compile(r"^(-1|\d+)_c(\d+)(?:s\d+)?_[\w.]+$")
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
LEFTOVERS = {"thumbs.db", "desktop.ini"}
# (train, query, gallery) below a data set's folder: as published, and as layumi's baseline has it.
LAYOUTS = (
    ("bounding_box_train", "query", "bounding_box_test"),
    ("pytorch/train_all", "pytorch/query", "pytorch/gallery"),
    ("train_all", "query", "gallery"),
)


class FoldersNotFoundError(InputError):
    """The folders of a data set were not found."""


def parse_name(path: Path) -> tuple[int, int]:
    """Reads (pid, 0-based camid) from a file's base name; raises InputError if it has neither."""
    match = NAME.match(path.stem)
    if match is None or int(match[2]) < 1:
        raise InputError(
            f"{path}: the name tells no identity and camera; expected one such as"
            " 0002_c1s1_000451_03.jpg (Market-1501) or 0002_c1_f0044158.jpg (DukeMTMC-reID)"
        )
    return int(match[1]), int(match[2]) - 1


def scan(folder: Path, num_cameras: int | None = None) -> Records:
    """Lists the images of a folder and of its direct subfolders, sorted by path, junk (-1) dropped.

    Hidden files (the ``._x.jpg`` that macOS puts into archives) and other file types are
    ignored.

    Args:
        folder: Folder of the split; one subfolder per identity is allowed.
        num_cameras: Number of cameras; a higher camera number is an error. None checks nothing.

    Raises:
        InputError: The folder holds no image, a name cannot be parsed, or a camera number is too
            high.
    """
    images = [
        path
        for path in sorted([*folder.glob("*"), *folder.glob("*/*")])
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not images:
        raise InputError(f"{folder}: no images ({', '.join(sorted(SUFFIXES))}) in this folder")
    records = []
    for path in images:
        pid, camid = parse_name(path)
        if num_cameras is not None and camid >= num_cameras:
            raise InputError(f"{path}: camera {camid + 1}, but the data set has {num_cameras}")
        if pid != JUNK_PID:
            records.append(ImageRecord(path, pid, camid))
    if not records:
        raise InputError(f"{folder}: all {len(images)} images are junk (pid -1)")
    return tuple(records)


def load_folders(
    root: Path,
    train: bool,
    homes: Sequence[str],
    num_cameras: int,
    name: str,
    source: str,
    distractor_pid: int | None = None,
) -> Splits:
    """Reads a data set in Market-1501's layout; pid -1 is dropped.

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training folder is needed; without it ``train`` is empty.
        homes: Folders relative to ``root`` that other frameworks use, most usual first.
        num_cameras: Number of cameras; file names number them from 1.
        name: Name of the data set, for messages.
        source: One sentence on where the data comes from, for messages.
        distractor_pid: Pid of gallery images that show nobody who is searched for; None if there
            is none.

    Raises:
        FoldersNotFoundError: No folder fits; the message says which ones were looked for.
        InputError: A folder has no images, a name cannot be parsed, or an identity is in both train
            and query.
    """
    needed = slice(0 if train else 1, None)
    for home in homes:
        for layout in LAYOUTS:
            folders = [root / home / folder for folder in layout[needed]]
            if all(folder.is_dir() for folder in folders):
                records = [scan(folder, num_cameras) for folder in folders]
                query, gallery = records[-2:]
                splits = Splits(records[0] if train else (), query, gallery, distractor_pid)
                return check_splits(splits, name)
    raise _not_found(root, homes, needed, name, source)


def _not_found(
    root: Path, homes: Sequence[str], needed: slice, name: str, source: str
) -> InputError:
    wanted = " or ".join("{" + ", ".join(layout[needed]) + "}" for layout in LAYOUTS)
    folders = [root / home / folder for home in homes for lay in LAYOUTS for folder in lay[needed]]
    partial = [str(folder) for folder in folders if folder.is_dir()]
    found = f" Found only {', '.join(partial)}." if partial else ""
    return FoldersNotFoundError(
        f"{name}: no folder with {wanted} at any of: {', '.join(str(root / h) for h in homes)}."
        f"{found} Expected such as {root / homes[0] / LAYOUTS[0][1]}/*.jpg. {source}"
    )


def passed_over(records: Records) -> Counter[str]:
    """Counts the files that lie beside the images of a split and are not read, by their ending.

    Hidden files and those that operating systems make (``Thumbs.db``) are not counted.

    Args:
        records: Records of the split.
    """
    folders = {record.path.parent for record in records}
    files = (file for folder in folders for file in folder.iterdir() if file.is_file())
    return Counter(
        file.suffix.lower() or "no ending"
        for file in files
        if file.suffix.lower() not in SUFFIXES
        and not file.name.startswith(".")
        and file.name.lower() not in LEFTOVERS
    )
