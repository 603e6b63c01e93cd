"""Images to search or to embed: from folders, patterns, lists and single files, without labels.

Identity, camera and time are read where they are known. Nothing is asked for but the path.
"""

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from reid.data.layout import NAME, SUFFIXES
from reid.data.presence import missing
from reid.utils.errors import InputError, suggest
from reid.utils.settings import shown

LISTS = (".csv", ".tsv", ".txt")
COLUMNS = ("path", "identity", "camera", "time")
DELIMITERS = ",;\t|"
JUNK = "-1"  # as in Market-1501: shows nobody


@dataclass
class ImageList:
    """Images in a fixed order, and what is known of them.

    Attributes:
        paths: Absolute paths, N of them.
        identities: Name of the person on each, "" where it is unknown.
        cameras: Name of the camera of each, "" where it is unknown.
        times: Seconds since 1970 (UTC) of each, NaN where they are unknown.
    """

    paths: list[str] = field(default_factory=list)
    identities: list[str] = field(default_factory=list)
    cameras: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    def add(
        self, path: str, identity: str = "", camera: str = "", time: float = float("nan")
    ) -> None:
        """Adds an image.

        Args:
            path: Absolute path.
            identity: Name of the person.
            camera: Name of the camera.
            time: Seconds since 1970.
        """
        self.paths.append(path)
        self.identities.append(identity)
        self.cameras.append(camera)
        self.times.append(time)


def list_images(sources: Sequence[str]) -> ImageList:
    """Lists the images of folders, patterns, lists and files, in this order; each image once.

    - A folder: all images in it and below it, sorted by path. If its images lie in folders of
      people, or are named as in Market-1501, these names say who is on them.
    - ``*.csv``, ``*.tsv``: a line of column names, of which ``path`` is needed and ``identity``,
      ``camera`` and ``time`` (seconds, or ISO 8601) are read. ``*.txt``: a path on each line.
      Relative paths begin at the folder of the list.
    - A pattern such as ``'crops/**/*.jpg'``: the images that it matches, sorted by path.
    - A file: this image.

    Args:
        sources: What was named.

    Raises:
        InputError: Something is not there, holds no image, or is wrong in a list.
    """
    found = ImageList()
    seen: set[str] = set()
    for source in sources:
        for row in _rows(os.path.expanduser(source)):
            if row[0] not in seen:
                seen.add(row[0])
                found.add(*row)
    return found


def named_images(paths: Sequence[str]) -> ImageList:
    """Returns images whose files need not be there; names as in Market-1501 say who is on them."""
    found = ImageList()
    for path in paths:
        row = _named(path)
        found.add(*row)
    return found


Row = tuple[str, str, str, float]


def _rows(source: str) -> Iterator[Row]:
    path = Path(source)
    if path.is_dir():
        return _of_folder(path)
    if path.suffix.lower() in LISTS and path.is_file():
        return _of_list(path)
    if path.exists():
        return iter([_named(os.path.abspath(path))])
    if glob.has_magic(source):
        return _of_pattern(source)
    raise InputError(f"{source} does not exist; name a folder, a list, a pattern or an image")


def _of_folder(folder: Path) -> Iterator[Row]:
    root = os.path.abspath(folder)
    paths = sorted(
        os.path.join(above, name)
        for above, _, names in _walk(root)
        for name in names
        if os.path.splitext(name)[1].lower() in SUFFIXES and name[0] != "."
    )
    if not paths:
        raise InputError(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))})")
    people = all(os.path.dirname(os.path.dirname(path)) == root for path in paths)
    for path in paths:
        row = _named(path)
        if people and not row[1]:
            row = (path, os.path.basename(os.path.dirname(path)), *row[2:])
        yield row


def _walk(root: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for above, folders, names in os.walk(root, onerror=_closed):
        folders[:] = [name for name in folders if name[0] != "."]
        yield above, folders, names


def _closed(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be listed: {error.strerror}") from error


def _of_pattern(pattern: str) -> Iterator[Row]:
    paths = [
        os.path.abspath(path)
        for path in sorted(glob.glob(pattern, recursive=True))
        if os.path.splitext(path)[1].lower() in SUFFIXES and os.path.isfile(path)
    ]
    if not paths:
        raise InputError(f"no image matches {pattern} ({', '.join(sorted(SUFFIXES))})")
    return map(_named, paths)


def _named(path: str) -> Row:
    """Reads identity and camera off a name such as 0002_c1s1_000451_03.jpg."""
    match = NAME.match(os.path.splitext(os.path.basename(path))[0])
    if match is None:
        return path, "", "", float("nan")
    return path, "" if match[1] == JUNK else match[1], match[2], float("nan")


def _of_list(file: Path) -> Iterator[Row]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = list(_read(text, file))
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no UTF-8; save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{file} is no CSV file: {error}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    if not rows:
        raise InputError(f"{file} names no image")
    absent = missing([row[0] for row in rows])
    if absent:
        raise InputError(
            f"{file}: {len(absent)} of {len(rows)} files do not exist, the first is"
            f" {rows[absent[0]][0]}; relative paths begin at the folder of the list"
        )
    return iter(rows)


def _read(text: Iterator[str], file: Path) -> Iterator[Row]:
    if file.suffix.lower() == ".txt":
        lines = (line.strip() for line in text)
        yield from (_named(_absolute(line, file)) for line in lines if line)
        return
    header = next(iter(text), "")
    delimiter = max(DELIMITERS, key=header.count)
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    if "path" not in columns:
        near = next(filter(None, (suggest(name, ["path"]) for name in columns)), "")
        raise InputError(
            f"{file}, line 1: no column path{near}; the first line names the columns"
            f" {', '.join(COLUMNS)}, of which path is needed; it is {shown(header.strip())}"
        )
    reader = csv.reader(text, delimiter=delimiter)
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        cell = {name: value.strip() for name, value in zip(columns, cells, strict=False)}
        where = f"{file}, line {reader.line_num + 1}"
        if not cell.get("path"):  # empty, or the line ends before it
            raise InputError(f"{where}: the cell of path is empty")
        path = _absolute(cell["path"], file)
        time = _seconds(cell.get("time", ""), where)
        if "identity" in cell or "camera" in cell:
            yield path, cell.get("identity", ""), cell.get("camera", ""), time
        else:
            yield (*_named(path)[:3], time)


def _absolute(name: str, file: Path) -> str:
    return os.path.normpath(os.path.join(os.path.abspath(file.parent), os.path.expanduser(name)))


def _seconds(text: str, where: str) -> float:
    if not text:
        return float("nan")
    try:
        return seconds_of(text)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def seconds_of(text: str) -> float:
    """Returns seconds since 1970 of a number, or of a time as in ISO 8601 (UTC if it has no zone).

    Raises:
        ValueError: The text is no time.
    """
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if number - number == 0:  # neither infinite nor NaN
            return number
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(
            f"{shown(text)} is no time; write seconds, or 2026-11-30T12:00:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
