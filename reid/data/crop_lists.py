"""CSV files that list crops: read as spreadsheets and other programs write them, and written."""

import csv
import io
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from reid.data.crops import WORDS, Crops, split_word
from reid.data.layout import SUFFIXES
from reid.data.presence import missing
from reid.data.records import Drawn
from reid.utils.errors import InputError, suggest
from reid.utils.settings import shown

NEEDED = ("path", "identity")
COLUMNS = (*NEEDED, "camera", "split")
DELIMITERS = ",;\t|"


def read_list(file: Path, root: Path | None = None) -> Crops:
    """Reads a list: a line of column names, then a row for each image.

    Columns are path and identity, and camera and split where they are known; others are passed
    over. Cells are separated by commas, semicolons, tabs or bars, in quotes where they hold one.

    Args:
        file: The CSV file, UTF-8.
        root: Folder that relative paths begin at; None is the folder of the file.

    Raises:
        InputError: Something in the file is wrong; the message names the file and the line.
    """
    folder = os.path.abspath(root if root is not None else file.parent)
    try:
        with _opened(file) as text:
            return _read(text, file, folder)
    except UnicodeDecodeError as error:
        raise InputError(_not_utf8(file)) from error
    except csv.Error as error:
        raise InputError(f"{file} is no CSV file: {error}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _opened(file: Path) -> io.TextIOWrapper:
    if not file.is_file():  # a pipe would keep a reader waiting
        problem = "is no regular file" if file.exists() else "does not exist"
        raise InputError(f"{file} {problem}; name a CSV file with the columns {', '.join(COLUMNS)}")
    return file.open(encoding="utf-8-sig", newline="")


def _not_utf8(file: Path) -> str:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff"):
                return f"{file} is UTF-16; save it as CSV in UTF-8"
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = line[error.start]
                return f"{file}, line {number}: byte {byte:#04x} is no UTF-8; save it as UTF-8"
    return f"{file} is no UTF-8"


def _read(text: io.TextIOWrapper, file: Path, folder: str) -> Crops:
    header = text.readline()
    delimiter = max(DELIMITERS, key=lambda mark: len(_columns(header, mark)))
    places = _columns(header, delimiter)
    _check_header(header, places, file)
    rows = _Rows(file, folder, places)
    width = len(next(csv.reader([header], delimiter=delimiter)))
    reader = csv.reader(text, delimiter=delimiter)
    for cells in reader:
        if len(cells) == width or _padded(cells, width):
            rows.add(cells, reader.line_num + 1)
        elif any(cell.strip() for cell in cells):
            mend = f"put a cell that holds '{delimiter}' into quotes"
            if len(cells) < width:
                mend = "fill in what is missing"
            raise InputError(
                f"{file}, line {reader.line_num + 1}: {len(cells)} cells, but the first line has"
                f" {width}; {mend}"
            )
    return rows.crops()


def _padded(cells: Sequence[str], width: int) -> bool:
    """Says whether a row is only longer by empty cells, which spreadsheets add."""
    return len(cells) > width and not any(cell.strip() for cell in cells[width:])


def _columns(header: str, delimiter: str) -> dict[str, int]:
    """Returns the places of the columns that are known."""
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    return {name: names.index(name) for name in COLUMNS if name in names}


def _check_header(header: str, places: dict[str, int], file: Path) -> None:
    lacking = [name for name in NEEDED if name not in places]
    if lacking:
        found = shown(header.strip())
        words = [word.strip("\"' ") for mark in DELIMITERS for word in header.strip().split(mark)]
        near = next(filter(None, (suggest(word, lacking) for word in words)), "")
        raise InputError(
            f"{file}, line 1: no column {' and '.join(lacking)}{near}; the first line names the"
            f" columns path, identity and, where known, camera, split; it is {found}"
        )


class _Rows:
    """Rows that are read, checked one by one and at the end all together."""

    def __init__(self, file: Path, folder: str, places: dict[str, int]) -> None:
        self.file = file
        self.folder = folder
        self.places = places
        self.lines = array("q")
        self.columns: dict[str, list[str]] = {name: [] for name in places}
        self.row_of: dict[tuple[str, str], int] = {}  # by path and split
        self.repeated = 0
        self.words: dict[str, str] = {}  # split as it is written -> split

    def add(self, cells: Sequence[str], line: int) -> None:
        """Takes a row."""
        row = {name: cells[place].strip() for name, place in self.places.items()}
        empty = [name for name, cell in row.items() if not cell]
        if len(empty) == len(row):
            return
        if empty:
            raise self._error(line, f"the cell of {empty[0]} is empty")
        row["path"] = self._path(row["path"], line)
        if "split" in row:
            row["split"] = self._split(row["split"], line)
        key = (row["path"], row.get("split", ""))
        if key in self.row_of:
            self._check_same(row, self.row_of[key], line)
            self.repeated += 1
            return
        self.row_of[key] = len(self.lines)
        self.lines.append(line)
        for name, cell in row.items():
            self.columns[name].append(cell)

    def _path(self, text: str, line: int) -> str:
        ending = os.path.splitext(text)[1].lower()
        if ending not in SUFFIXES:
            known = ", ".join(sorted(SUFFIXES))
            raise self._error(line, f"{shown(text)} is no picture ({known})")
        path = os.path.normpath(os.path.join(self.folder, text))
        if ".." in text and not os.path.isabs(text) and not self._inside(path):
            raise self._error(
                line,
                f"{shown(text)} leads out of {self.folder}, the folder that paths begin at; name a"
                " folder above it as DATASETS.CSV.FOLDER, or write whole paths",
            )
        return path

    def _inside(self, path: str) -> bool:
        return path.startswith(os.path.join(self.folder, ""))

    def _split(self, text: str, line: int) -> str:
        if text not in self.words:
            try:
                self.words[text] = split_word(text)
            except InputError as error:
                raise self._error(line, str(error)) from error
        return self.words[text]

    def _check_same(self, row: dict[str, str], first: int, line: int) -> None:
        for name in ("identity", "camera"):
            if name in row and self.columns[name][first] != row[name]:
                raise self._error(
                    line,
                    f"{row['path']} has the {name} {shown(row[name])}, but in line"
                    f" {self.lines[first]} it has {shown(self.columns[name][first])}",
                )

    def _error(self, line: int, problem: str) -> InputError:
        return InputError(f"{self.file}, line {line}: {problem}")

    def crops(self) -> Crops:
        """Returns the list; raises InputError for what only all rows together tell."""
        if not self.lines:
            raise InputError(f"{self.file} has no row below the names of the columns")
        self._check_twice()
        paths = self.columns["path"]
        absent = missing(paths)
        if absent:
            first = absent[0]
            slashes = "; write / in place of \\" if "\\" in paths[first] else ""
            raise InputError(
                f"{self.file}: {len(absent)} of {len(paths)} files do not exist, the first in line"
                f" {self.lines[first]}: {paths[first]}; relative paths begin at {self.folder}, set"
                f" DATASETS.CSV.FOLDER to another folder if they begin there{slashes}"
            )
        notes = (
            [f"{self.repeated} rows are in {self.file.name} twice, and count once"]
            if self.repeated
            else []
        )
        return Crops(
            paths,
            self.columns["identity"],
            self.columns.get("camera"),
            self.columns.get("split"),
            Path(self.folder),
            {"train": notes},
        )

    def _check_twice(self) -> None:
        """Raises InputError if a picture is trained on and tested with."""
        for path, split in self.row_of:
            others = () if split in ("", "query", "gallery") else WORDS
            for other in others:
                if other != split and (path, other) in self.row_of:
                    lines = sorted(self.lines[self.row_of[path, word]] for word in (split, other))
                    raise InputError(
                        f"{self.file}, lines {lines[0]} and {lines[1]}: {path} is in {split} and in"
                        f" {other}"
                    )


def write_list(drawn: Drawn) -> str:
    """Writes a split as a list that :func:`read_list` reads; paths are relative to its root.

    Args:
        drawn: The split.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [name for name in COLUMNS if name != "camera" or drawn.cameras]
    writer.writerow(columns)
    writer.writerows(_rows_of(drawn))
    return text.getvalue()


def _rows_of(drawn: Drawn) -> Iterator[list[str]]:
    for word in ("train", "val", "query", "gallery"):
        for record in drawn.splits.get(word, ()):
            path = Path(os.path.relpath(record.path, drawn.root)).as_posix()
            if path.startswith("../"):  # a list may name whole paths elsewhere
                path = record.path.as_posix()
            camera = [drawn.cameras[record.camid]] if drawn.cameras else []
            yield [path, drawn.identities[record.pid], *camera, word]
