"""Finds the folders of data sets, and reads identity and camera from file names."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reid.data.records import (
    JUNK_PID,
    SPLITS,
    Counts,
    ImageRecord,
    Records,
    Splits,
    check_splits,
)
from reid.utils.errors import InputError

# Market: 0002_c1s1_000451_03.jpg and -1_c1s1_000401_03.jpg; Duke: 0002_c1_f0044158.jpg.
# The pattern is matched against the whole base name, and not against the path: a folder called
# run1_c2 says nothing, and camera 12 is not camera 1.
NAME = re.compile(r"^(-1|\d+)_c(\d+)(?:s\d+)?_[\w.]+$")
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
LEFTOVERS = {"thumbs.db", "desktop.ini"}
ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz")
DEPTH = 1  # images are read in a split's folder and in folders this deep below it
DEEPEST = 8  # images in folders down to here are counted, but not read
MOST = 2**63 - 1  # ids are int64
# (train, query, gallery) below a data set's folder: as published, and as layumi's baseline has it.
LAYOUTS = (
    ("bounding_box_train", "query", "bounding_box_test"),
    ("pytorch/train_all", "pytorch/query", "pytorch/gallery"),
    ("train_all", "query", "gallery"),
)


class FoldersNotFoundError(InputError):
    """The folders of a data set were not found."""


def parse_name(path: Path) -> tuple[int, int]:
    """Reads (pid, 0-based camid) from a file's base name.

    Raises:
        InputError: The name has neither, or a number is too large for int64.
    """
    match = NAME.match(path.stem)
    if match is None or int(match[2]) < 1:
        raise InputError(
            f"{path}: the name tells no identity and camera; expected one such as"
            " 0002_c1s1_000451_03.jpg (Market-1501) or 0002_c1_f0044158.jpg (DukeMTMC-reID)"
        )
    pid, camera = int(match[1]), int(match[2])
    if max(pid, camera) > MOST:
        raise InputError(
            f"{path}: the name has the number {max(pid, camera)}, but identities and cameras are"
            f" at most {MOST}; give the people smaller numbers"
        )
    return pid, camera - 1


def scan(folder: Path, num_cameras: int | None = None) -> Records:
    """Lists the images of a folder and of its direct subfolders, sorted by path, junk (-1) dropped.

    Hidden files (the ``._x.jpg`` that macOS puts into archives), hidden folders and other file
    types are ignored; :func:`notes_of` says what was passed over.

    Args:
        folder: Folder of the split; one subfolder per identity is allowed.
        num_cameras: Number of cameras; a higher camera number is an error. None checks nothing.

    Raises:
        InputError: The folder holds no image, a name cannot be parsed, or a camera number is too
            high.
    """
    return _records(folder, look(folder), num_cameras)


def _records(folder: Path, found: "Found", num_cameras: int | None) -> Records:
    if not found.images:
        also = "".join(f"; {note}" for note in notes_of(found))
        raise InputError(
            f"{folder}: no images ({', '.join(sorted(SUFFIXES))}) in this folder{also}"
        )
    records = []
    for path in sorted(found.images):
        pid, camid = parse_name(path)
        if num_cameras is not None and camid >= num_cameras:
            raise InputError(f"{path}: camera {camid + 1}, but the data set has {num_cameras}")
        if pid != JUNK_PID:
            records.append(ImageRecord(path, pid, camid))
    if not records:
        raise InputError(f"{folder}: all {len(found.images)} images are junk (pid -1)")
    return tuple(records)


def load_folders(
    root: Path,
    train: bool,
    homes: Sequence[str],
    num_cameras: int,
    name: str,
    source: str,
    distractor_pid: int | None = None,
    published: Mapping[str, Counts] | None = None,
    layouts: Sequence[tuple[str, str, str]] = LAYOUTS,
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
        published: Counts that the authors give, by split.
        layouts: Folders of train, query and gallery below the data set's folder, by layout.

    Raises:
        FoldersNotFoundError: No folder fits; the message says which ones were looked for.
        InputError: A folder has no images, a name cannot be parsed, or an identity is in both train
            and query.
    """
    needed = slice(0 if train else 1, None)
    for home in homes:
        for layout in layouts:
            folders = [root / home / folder for folder in layout[needed]]
            if all(folder.is_dir() for folder in folders):
                found = [look(folder) for folder in folders]
                records = [
                    _records(folder, its, num_cameras)
                    for folder, its in zip(folders, found, strict=True)
                ]
                query, gallery = records[-2:]
                notes = {
                    split: notes_of(its) for split, its in zip(SPLITS[needed], found, strict=True)
                }
                splits = Splits(
                    records[0] if train else (),
                    query,
                    gallery,
                    distractor_pid,
                    notes,
                    published=published,
                )
                return check_splits(splits, name)
    wanted = [layout[needed] for layout in layouts]
    raise not_found(root, homes, wanted, name, source)


def not_found(
    root: Path, homes: Sequence[str], layouts: Sequence[Sequence[str]], name: str, source: str
) -> FoldersNotFoundError:
    """Builds the error for a data set that is at none of its places.

    Args:
        root: Folder of the data sets, or of this data set.
        homes: Folders relative to ``root``, most usual first.
        layouts: What has to lie in such a folder: all of one of them.
        name: Name of the data set.
        source: One sentence on where the data comes from.
    """
    wanted = " or ".join("{" + ", ".join(layout) + "}" for layout in layouts)
    parts = [root / home / part for home in homes for layout in layouts for part in layout]
    partial = [str(part) for part in parts if part.exists()]
    found = f" Found only {', '.join(partial)}." if partial else ""
    return FoldersNotFoundError(
        f"{name}: no folder with {wanted} at any of: {', '.join(str(root / h) for h in homes)}."
        f"{found}{_nearby(root, layouts)}"
        f" Expected such as {root / homes[0] / layouts[0][min(1, len(layouts[0]) - 1)]}. {source}"
    )


def find_home(
    root: Path, homes: Sequence[str], layouts: Sequence[Sequence[str]], name: str, source: str
) -> tuple[Path, Sequence[str]]:
    """Returns the first folder that holds all parts of a layout, and the layout.

    Args:
        root: Folder of the data sets, or of this data set.
        homes: Folders relative to ``root``, most usual first.
        layouts: Names of files and folders that lie together; see :func:`not_found`.
        name: Name of the data set.
        source: One sentence on where the data comes from.

    Raises:
        FoldersNotFoundError: There is none.
    """
    for home in homes:
        for layout in layouts:
            if all((root / home / part).exists() for part in layout):
                return root / home, layout
    raise not_found(root, homes, layouts, name, source)


def _nearby(root: Path, layouts: Sequence[Sequence[str]]) -> str:
    """Says where the folders lie instead, and which archives wait to be unpacked."""
    folders, archives = [root], []
    for folder in folders:  # it grows by up to three levels, and holds a few hundred at most
        for entry in _entries(folder) if os.access(folder, os.R_OK | os.X_OK) else ():
            deeper = len(Path(entry.path).relative_to(root).parts) <= 3 and len(folders) < 300
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and deeper:
                folders.append(Path(entry.path))
            elif entry.name.lower().endswith(ARCHIVES):
                archives.append(entry.path)
    complete = [
        str(folder)
        for folder in folders
        if any(all((folder / part).exists() for part in layout) for layout in layouts)
    ]
    text = f" These folders lie in {' and in '.join(complete[:3])}." if complete else ""
    return text + (f" Unpack {' and '.join(archives[:3])}." if archives else "")


@dataclass
class Found:
    """What lies in the folder of a split.

    Attributes:
        images: Images that are read, unsorted.
        endings: Number of files that are not read, by their ending.
        deep: Images in folders that are too deep.
        loops: Links to a folder that they lie in.
        unseen: Folders below a linked folder, or very deep; nobody looked into them.
        closed: Folders that cannot be listed.
    """

    images: list[Path] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    deep: list[Path] = field(default_factory=list)
    loops: list[Path] = field(default_factory=list)
    unseen: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)


def look(folder: Path) -> Found:
    """Lists what lies in the folder of a split and below it; hidden files and folders do not count.

    Links to folders are followed as far as images are read, and no further.

    Args:
        folder: Folder of the split.
    """
    found = Found()
    _look(folder, 0, False, (), found)
    return found


def _look(
    folder: Path, depth: int, linked: bool, above: tuple[tuple[int, int], ...], found: Found
) -> None:
    try:
        above = (*above, _number(folder))
        entries = _entries(folder)
    except OSError:
        found.closed.append(folder)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        link = entry.is_symlink()
        if not (os.path.isdir(path) if link else entry.is_dir()):
            _count(path, depth, found)
        elif link and _number(path) in above:
            found.loops.append(path)
        elif depth >= DEPTH and (linked or link or depth >= DEEPEST):
            found.unseen.append(path)
        else:
            _look(path, depth + 1, linked or link, above, found)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Returns what lies in a folder, sorted by name."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _number(path: Path) -> tuple[int, int]:
    facts = os.stat(path)
    return facts.st_dev, facts.st_ino


def _count(path: Path, depth: int, found: Found) -> None:
    ending = path.suffix.lower()
    if ending in SUFFIXES:
        (found.images if depth <= DEPTH else found.deep).append(path)
    elif depth <= DEPTH and path.name.lower() not in LEFTOVERS:
        found.endings[ending or "no ending"] += 1


def notes_of(found: Found, names_are_unique: bool = True) -> list[str]:
    """Says in sentences what was passed over in a folder, and which names occur twice.

    Args:
        found: From :func:`look`.
        names_are_unique: Whether a name that occurs in two folders is worth a note.
    """
    notes = [f"{n} files are not read ({ending})" for ending, n in sorted(found.endings.items())]
    for paths, what in (
        (found.deep, "images are not read, because they lie in folders in folders"),
        (found.loops, "links are not followed, because they lead back to where they lie"),
        (found.unseen, "folders are not looked into, because they are linked or very deep"),
        (found.closed, "folders cannot be listed"),
    ):
        if paths:
            notes.append(f"{len(paths)} {what} (first: {paths[0]})")
    folders_of: dict[str, list[Path]] = {}
    for path in sorted(found.images) if names_are_unique else ():
        folders_of.setdefault(path.name, []).append(path.parent)
    twice = {name: folders for name, folders in folders_of.items() if len(folders) > 1}
    for name, (one, other, *_) in list(twice.items())[:1]:
        notes.append(
            f"{len(twice)} names of images occur in more than one folder, and all are read"
            f" (first: {name} in {one} and {other})"
        )
    return notes


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
