"""CSV files that list crops: what spreadsheets write is read, and what is wrong is one line."""

import csv
import re
from pathlib import Path

import pytest
from crops import picture, pictures, table

from reid.data.crop_lists import read_list, write_list
from reid.data.datasets import DATASETS
from reid.data.presence import missing
from reid.data.records import ImageRecord, Splits
from reid.utils.errors import InputError

HEADER = ("path", "identity", "camera", "split")
ROWS = [
    ("a/1.jpg", "Zoë", "door", "train"),
    ("a/2.jpg", "Zoë", "hall", "train"),
    ("b 1.jpg", "Ben, jr.", "door", "query"),
    ("b2.png", "Ben, jr.", "hall", "gallery"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pictures(tmp_path, [row[0] for row in ROWS])
    return tmp_path


def load(file: Path, train: bool = True, split: int = 0, **more: object) -> Splits:
    return DATASETS["csv"](train, split, str(file), **more)


def message(root: Path, *lines: str, **more: object) -> str:
    """What is said of a file of these lines; it is one line."""
    file = root / "people.csv"
    file.write_bytes("\n".join(lines).encode())
    with pytest.raises(InputError) as caught:
        load(file, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pids_and_camids_are_ranks_of_names(root: Path) -> None:
    splits = load(table(root / "people.csv", [HEADER, *ROWS]))
    assert splits.train == (
        ImageRecord(root / "a/1.jpg", 1, 0),
        ImageRecord(root / "a/2.jpg", 1, 1),
    )
    assert splits.query == (ImageRecord(root / "b 1.jpg", 0, 0),)
    assert splits.gallery == (ImageRecord(root / "b2.png", 0, 1),)
    assert splits.cameras_known and not splits.drawn
    assert load(root / "people.csv", train=False) == splits._replace(train=())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_spreadsheets_write_is_read(
    root: Path, delimiter: str, newline: str, mark: str
) -> None:
    plain = load(table(root / "plain.csv", [HEADER, *ROWS]))
    other = table(root / "other.csv", [HEADER, *ROWS], delimiter)
    text = other.read_bytes().decode().replace("\r\n", newline)
    other.write_bytes((mark + text).encode())
    assert load(other) == plain


def test_cells_columns_and_words_are_written_as_one_likes(root: Path) -> None:
    rows = [
        (" Split ", "note", "PATH", "Identity", "camera", ""),
        ("TRAIN", "x", "./a/1.jpg", " Zoë ", "door", ""),
        (" Train", "", "a/../a/2.jpg", "Zoë", "hall", ""),
        (),
        ("", "", "", "", "", ""),
        ("Query", "", "b 1.jpg", "Ben, jr.", "door", "", "", ""),
        ("gallery", "", "b2.png", "Ben, jr.", "hall", ""),
    ]
    plain = load(table(root / "plain.csv", [HEADER, *ROWS]))
    assert load(table(root / "other.csv", rows)) == plain


def test_the_order_of_rows_changes_nothing(root: Path) -> None:
    plain = load(table(root / "plain.csv", [row[:2] for row in (HEADER, *ROWS)]))
    other = load(table(root / "other.csv", [row[:2] for row in (HEADER, *reversed(ROWS))]))
    assert other == plain and plain.train and plain.query


def test_paths_begin_at_a_folder_or_are_whole(root: Path, tmp_path_factory) -> None:
    plain = load(table(root / "plain.csv", [HEADER, *ROWS]))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = table(elsewhere / "people.csv", [HEADER, *ROWS])
    assert load(other, folder=str(root)) == plain
    whole = [(str(root / path), *row) for path, *row in ROWS]
    assert load(table(elsewhere / "whole.csv", [HEADER, *whole])) == plain


def test_a_row_that_is_there_twice_counts_once_and_is_said(root: Path) -> None:
    splits = load(table(root / "people.csv", [HEADER, *ROWS, ROWS[0]]))
    assert len(splits.train) == 2
    assert splits.notes["train"] == ["1 rows are in people.csv twice, and count once"]


def test_junk_is_left_out(root: Path) -> None:
    picture(root / "j.jpg")
    rows = [HEADER, *ROWS, ("j.jpg", "-1", "door", "gallery")]
    plain = load(table(root / "plain.csv", [HEADER, *ROWS]))
    assert load(table(root / "people.csv", rows)) == plain


def test_a_query_may_lie_in_the_gallery(root: Path) -> None:
    rows = [HEADER, *ROWS, ("b 1.jpg", "Ben, jr.", "door", "gallery")]
    assert len(load(table(root / "people.csv", rows)).gallery) == 2


def test_test_is_cut_and_val_is_kept_apart(tmp_path: Path) -> None:
    names = [
        f"{split}/{p}{c}.jpg" for split in ("train", "val", "test") for p in "xy" for c in "12"
    ]
    pictures(tmp_path, names)
    rows = [(name, name[:-5], name[-5], name.partition("/")[0]) for name in names]
    splits = load(table(tmp_path / "people.csv", [HEADER, *rows]))
    assert [len(part) for part in (splits.train, splits.query, splits.gallery)] == [4, 2, 2]
    assert [len(part) for part in splits.val] == [2, 2]
    assert {r.path.parent.name for part in splits.val for r in part} == {"val"}
    assert splits.drawn["csv"].rule.startswith("test is cut by random split 0")


def test_a_written_split_is_read_again(root: Path, tmp_path: Path) -> None:
    names = [f"{person}/{n}.jpg" for person in ("Ünal", "b, c", 'q"q', "d") for n in range(3)]
    home = pictures(tmp_path / "crops", names)
    drawn = DATASETS["folder"](True, 5, str(home))
    file = tmp_path / "split.csv"
    file.write_text(write_list(drawn.drawn["folder"]), encoding="utf-8")
    again = load(file, folder=str(home))
    assert (again.train, again.query, again.gallery) == drawn[:3]
    with file.open(encoding="utf-8", newline="") as text:
        assert next(csv.reader(text)) == ["path", "identity", "split"]


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        ((), "line 1: no column path and identity"),
        (("path,pid", "b2.png,1"), "line 1: no column identity"),
        (("path,identitty", "b2.png,1"), "did you mean 'identity'?"),
        (("b2.png,1", "a/1.jpg,2"), "the first line names the columns path, identity"),
        (("path,identity",), "has no row below the names of the columns"),
        (("path,identity", "b2.png,"), "line 2: the cell of identity is empty"),
        (("path,identity", ",x"), "line 2: the cell of path is empty"),
        (("path,identity,camera", "b2.png,x,"), "line 2: the cell of camera is empty"),
        (("path,identity,split", "b2.png,x,"), "line 2: the cell of split is empty"),
        (("path,identity", "b2.png,x,y"), "line 2: 3 cells, but the first line has 2"),
        (("path,identity,camera", "b2.png,x"), "line 2: 2 cells, but the first line has 3"),
        (("path,identity,split", "b2.png,x,qurey"), "line 2: unknown split 'qurey'; did you mean"),
        (("path,identity", "notes.txt,x"), "line 2: 'notes.txt' is no picture (.bmp"),
        (("path,identity", "../b2.png,x"), "line 2: '../b2.png' leads out of"),
        (("path,identity", "b2.png,x", "no.png,y"), "1 of 2 files do not exist, the first in line"),
        (("path,identity", "b2.png,x", "b2.png,y"), "has the identity 'y', but in line 2 it has"),
        (("path,identity", "b2.png,1", "a/1.jpg,1.0"), "'1' and '1.0' are both there"),
        (("path,identity", "b2.png,x"), "of one person, 0 of whom can be searched for"),
        (("path,identity", "b2.png,x", "a/1.jpg,y"), "0 of whom can be searched for (two images)"),
        (("path,identity", "b2.png,-1"), "there is no image of a person"),
        (('path,identity\n"b2.png,x', "a/1.jpg,y"), "the first line has 2"),
        (
            ("path,identity,split", "b2.png,x,train", "a/1.jpg,x,query"),
            "1 people are in both train and query (first: 'x')",
        ),
        (
            ("path,identity,split", "b2.png,x,train", "b2.png,x,query"),
            "lines 2 and 3: ",
        ),
        (
            ("path,identity,split", "b2.png,x,test", "a/1.jpg,x,query"),
            "images of split test, which is cut into query and gallery, beside",
        ),
    ],
)
def test_what_is_wrong_is_one_line(root: Path, lines: tuple[str, ...], part: str) -> None:
    assert part in message(root, *lines)


def test_a_missing_file_is_named_with_its_line(root: Path) -> None:
    text = message(root, "path,identity", "b2.png,x", "", "no.png,y")
    assert f"line 4: {root / 'no.png'}" in text and "set DATASETS.CSV.FOLDER" in text


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("path,identity\nb2.png,José\n".encode("latin-1"), "line 2: byte 0xe9 is no UTF-8"),
        ("path,identity\nb2.png,x\n".encode("utf-16"), "is UTF-16; save it as CSV in UTF-8"),
        (b"path,identity\nb2\x00.png,x\n", "people.csv"),
        (b"path,identity\n" + b"x" * 200_000 + b".png,y\n", "field larger than field limit"),
    ],
)
def test_bytes_that_are_no_text_are_one_line(root: Path, content: bytes, part: str) -> None:
    (root / "people.csv").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(part)) as caught:
        load(root / "people.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "part"), [("", "no regular file"), ("no.csv", "does not exist")])
def test_a_list_that_is_no_file_is_one_line(root: Path, name: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        read_list(root / name)
    with pytest.raises(InputError, match="file is empty; name the CSV file"):
        DATASETS["csv"](True, 0)


def test_a_closed_set_is_a_switch(root: Path) -> None:
    rows = [("path", "identity", "split"), ("b2.png", "x", "train"), ("a/1.jpg", "x", "query")]
    file = table(root / "people.csv", [*rows, ("a/2.jpg", "x", "gallery")])
    assert load(file, closed_set=True).closed_set
    drawn = load(table(root / "all.csv", [r[:2] for r in (HEADER, *ROWS)]), closed_set=True)
    assert drawn.train and not drawn.query  # two images each: one to train, and one is left


@pytest.mark.parametrize("number", [3, 40])
def test_files_that_are_not_there_are_found_in_small_and_large_folders(
    tmp_path: Path, number: int
) -> None:
    pictures(tmp_path, [f"{n}.png" for n in range(number)])
    names = [f"{n}.png" for n in range(number)]
    names[1:1] = ["gone.png", "no/folder.png", "nul\0.png"]
    assert missing([str(tmp_path / name) for name in names]) == [1, 2, 3]
