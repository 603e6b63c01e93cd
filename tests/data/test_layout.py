"""File names, folder layouts and what is said when they are wrong."""

import os
from pathlib import Path

import pytest
from PIL import Image

from reid.data.datasets import DATASETS
from reid.data.layout import look, notes_of, parse_name, passed_over, scan
from reid.data.records import Counts, ImageRecord, Splits, describe_counts, label_of_pid
from reid.utils.errors import InputError

MARKET = {
    "bounding_box_train": ["0007_c2s3_070952_01.jpg", "0002_c1s1_000451_03.jpg"],
    "query": ["0003_c1s1_001051_00.jpg"],
    "bounding_box_test": [
        "0003_c6s1_001051_00.jpg",
        "0000_c1s1_000151_01.jpg",
        "-1_c1s1_000401_03.jpg",
    ],
}
DUKE = {
    "bounding_box_train": ["0002_c1_f0044158.jpg"],
    "query": ["0005_c2_f0046985.jpg"],
    "bounding_box_test": ["0005_c8_f0046985.jpg"],
}


def fill(home: Path, layout: dict[str, list[str]]) -> Path:
    for folder, names in layout.items():
        (home / folder).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (4, 8)).save(home / folder / name)
    return home


@pytest.mark.parametrize(
    ("name", "pid", "camid"),
    [
        ("0002_c1s1_000451_03.jpg", 2, 0),
        ("-1_c6s3_000401_03.jpg", -1, 5),
        ("0000_c3s1_000151_01.jpg", 0, 2),
        ("0002_c1_f0044158.jpg", 2, 0),
        ("0002_c12_f0044158.jpg", 2, 11),
        ("1501_c6s4_002202_01.jpg.jpg", 1501, 5),
    ],
)
def test_names_are_parsed(name: str, pid: int, camid: int) -> None:
    assert parse_name(Path("/data/run1_c2/query") / name) == (pid, camid)


@pytest.mark.parametrize(
    "name", ["photo.jpg", "x0002_c1s1_000451_03.jpg", "0002_c0s1_000451_03.jpg"]
)
def test_a_folder_that_looks_like_an_identity_does_not_count(name: str) -> None:
    with pytest.raises(InputError, match="tells no identity and camera"):
        parse_name(Path("/data/0001_c2s1_000451_03") / name)


@pytest.mark.parametrize(
    "home",
    [
        "market1501",
        "Market-1501-v15.09.15",
        "market1501/Market-1501-v15.09.15",
        "Market",
        ".",
    ],
)
def test_every_usual_market_layout_is_found(tmp_path: Path, home: str) -> None:
    fill(tmp_path / home, MARKET)
    splits = DATASETS["market1501"](tmp_path, True)
    assert [(r.pid, r.camid) for r in splits.train] == [(2, 0), (7, 1)]
    assert [(r.pid, r.camid) for r in splits.query] == [(3, 0)]
    assert [(r.pid, r.camid) for r in splits.gallery] == [(0, 0), (3, 5)]  # junk gone, 0000 kept


@pytest.mark.parametrize(
    "home",
    [
        "dukemtmc-reid/DukeMTMC-reID",
        "DukeMTMC-reID",
        "dukemtmcreid",
        "dukemtmcreid/DukeMTMC-reID",
        "dukemtmc-reid",
        ".",
    ],
)
def test_every_usual_duke_layout_is_found(tmp_path: Path, home: str) -> None:
    fill(tmp_path / home, DUKE)
    splits = DATASETS["dukemtmc"](tmp_path, True)
    assert splits.gallery == (
        ImageRecord(tmp_path / home / "bounding_box_test/0005_c8_f0046985.jpg", 5, 7),
    )


def test_one_folder_per_identity_is_found(tmp_path: Path) -> None:
    parts = ("train_all", "query", "gallery")
    resorted = {
        f"pytorch/{part}/{name.split('_')[0]}": [name]
        for part, names in zip(parts, MARKET.values(), strict=True)
        for name in names
    }
    fill(tmp_path / "Market", resorted)
    splits = DATASETS["market1501"](tmp_path, True)
    assert [r.pid for r in splits.train] == [2, 7]
    assert [r.pid for r in splits.gallery] == [0, 3]


def test_testing_does_not_need_the_training_folder(tmp_path: Path) -> None:
    fill(tmp_path, {name: MARKET[name] for name in ("query", "bounding_box_test")})
    assert DATASETS["market1501"](tmp_path, False).train == ()
    with pytest.raises(InputError, match="bounding_box_train"):
        DATASETS["market1501"](tmp_path, True)


def test_a_missing_folder_says_what_was_looked_for_where(tmp_path: Path) -> None:
    fill(tmp_path / "market1501", {"query": MARKET["query"]})
    with pytest.raises(InputError) as caught:
        DATASETS["market1501"](tmp_path, True)
    message = str(caught.value)
    assert str(tmp_path / "Market-1501-v15.09.15") in message
    assert "{bounding_box_train, query, bounding_box_test}" in message
    assert f"Found only {tmp_path / 'market1501/query'}" in message


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    fill(tmp_path, {**MARKET, "query": []})
    with pytest.raises(InputError, match=r"query: no images"):
        DATASETS["market1501"](tmp_path, False)


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path / "x", {"query": ["0003_c1s1_001051_00.jpg", "._0003_c1s1_001051_00.jpg"]})
    (tmp_path / "x/query/Thumbs.db").write_text("")
    assert len(scan(tmp_path / "x/query")) == 1


def test_a_camera_that_the_data_set_lacks_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, {**MARKET, "query": ["0003_c7s1_001051_00.jpg"]})
    with pytest.raises(InputError, match="camera 7, but the data set has 6"):
        DATASETS["market1501"](tmp_path, False)


def test_shared_identities_of_train_and_query_are_an_error(tmp_path: Path) -> None:
    fill(tmp_path, {**MARKET, "query": ["0002_c1s1_001051_00.jpg"]})
    with pytest.raises(InputError, match="in both train and query"):
        DATASETS["market1501"](tmp_path, True)


def test_labels_are_ranks_of_sorted_pids_whatever_the_order() -> None:
    records = [ImageRecord(Path(f"{pid}.jpg"), pid, 0) for pid in (1407, 7, 86, 7)]
    assert label_of_pid(tuple(records)) == {7: 0, 86: 1, 1407: 2}
    assert label_of_pid(tuple(reversed(records))) == {7: 0, 86: 1, 1407: 2}


def test_a_count_that_differs_names_both_numbers() -> None:
    record = ImageRecord(Path("a.jpg"), 2, 0)
    published = {"query": Counts(2, 1, 1), "gallery": Counts(1, None, 1)}
    rows, warnings = describe_counts(Splits((), (record,), (record,), published=published))
    assert rows == [["query", 1, 1, 1, "2/1/1"], ["gallery", 1, 1, 1, "1/-/1"]]
    assert warnings == ["query: 1 images found, 2 published"]


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tif", ".tiff", ".JPEG", ".png"])
def test_images_of_all_usual_kinds_are_read(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (4, 8)).save(tmp_path / f"0001_c1s1_000001_01{suffix}")
    (record,) = scan(tmp_path)
    assert (record.pid, record.camid) == (1, 0)


def test_files_that_are_not_read_are_counted_by_their_ending(tmp_path: Path) -> None:
    Image.new("RGB", (4, 8)).save(tmp_path / "0001_c1s1_000001_01.jpg")
    for name in ("a.gif", "b.GIF", "notes.txt", "README", ".hidden.gif", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"")
    assert passed_over(scan(tmp_path)) == {".gif": 2, ".txt": 1, "no ending": 1}


def test_numbers_that_are_no_int64_are_one_line() -> None:
    stamp = "20261125103000123456789012"
    with pytest.raises(InputError, match=rf"{stamp}_c1_x\.jpg: the name has the number {stamp}"):
        parse_name(Path(f"{stamp}_c1_x.jpg"))
    with pytest.raises(InputError, match="at most 9223372036854775807"):
        parse_name(Path(f"0001_c{stamp}_x.jpg"))
    assert parse_name(Path(f"{2**63 - 1}_c1_x.jpg")) == (2**63 - 1, 0)


def notes(folder: Path) -> list[str]:
    return notes_of(look(folder))


def test_images_that_are_too_deep_are_counted_and_named(tmp_path: Path) -> None:
    names = ["0001_c1s1_000001_01.jpg", "0001_c2s1_000002_01.jpg"]
    fill(
        tmp_path, {"0001": names[:1], "a/b": names[1:], "a/b/c/d/e": names[:1], ".hidden/x": names}
    )
    assert [record.path.name for record in scan(tmp_path)] == names[:1]
    assert notes(tmp_path) == [
        "2 images are not read, because they lie in folders in folders"
        f" (first: {tmp_path}/a/b/{names[1]})"
    ]


def test_a_folder_with_deep_images_only_says_so(tmp_path: Path) -> None:
    fill(tmp_path, {"a/b": ["0001_c1s1_000001_01.jpg"]})
    with pytest.raises(InputError, match=r"no images .*; 1 images are not read, because they lie"):
        scan(tmp_path)


def test_a_folder_unpacked_into_itself_is_said(tmp_path: Path) -> None:
    names = ["0001_c1s1_000001_01.jpg", "0001_c2s1_000002_01.jpg"]
    fill(tmp_path, {"query": names, "query/query": names})
    assert len(scan(tmp_path / "query")) == 4
    assert notes(tmp_path / "query") == [
        "2 names of images occur in more than one folder, and all are read"
        f" (first: {names[0]} in {tmp_path}/query and {tmp_path}/query/query)"
    ]


def test_links_that_lead_back_and_what_lies_behind_links_is_said(tmp_path: Path) -> None:
    split = tmp_path / "query"
    fill(tmp_path, {"query/0001": ["0001_c1s1_000001_01.jpg"], "other/deep": ["x.jpg"]})
    os.symlink("../query", split / "back")
    os.symlink("..", split / "0001/up")
    os.symlink("../other", split / "0002")
    os.symlink("again.jpg", split / "again.jpg")  # a file that leads to itself: reading it fails
    found = look(split)
    assert found.images == [split / "0001/0001_c1s1_000001_01.jpg", split / "again.jpg"]
    assert notes_of(found) == [
        "2 links are not followed, because they lead back to where they lie"
        f" (first: {split}/0001/up)",
        "1 folders are not looked into, because they are linked or very deep"
        f" (first: {split}/0002/deep)",
    ]


def test_a_very_deep_folder_ends(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    Image.new("RGB", (4, 8)).save(tmp_path / "0001_c1s1_000001_01.jpg")
    assert len(scan(tmp_path)) == 1
    assert notes(tmp_path)[0].startswith("1 folders are not looked into")


def test_what_was_passed_over_is_told_of_the_split_it_lies_in(tmp_path: Path) -> None:
    fill(tmp_path, MARKET)
    (tmp_path / "query/notes.txt").write_text("")
    fill(tmp_path, {"bounding_box_train/a/b": ["0002_c1s1_000451_03.png"]})
    found = DATASETS["market1501"](tmp_path, True).notes
    assert found["query"] == ["1 files are not read (.txt)"]
    assert len(found["train"]) == 1
    assert found["gallery"] == []


@pytest.mark.parametrize("home", ["x", "x/Market-1501-v15.09.15/Market-1501-v15.09.15"])
def test_folders_that_lie_elsewhere_and_archives_are_named(tmp_path: Path, home: str) -> None:
    fill(tmp_path / home, MARKET)
    archive = tmp_path / "Market-1501-v15.09.15.ZIP"
    archive.write_bytes(b"PK")
    with pytest.raises(InputError) as caught:
        DATASETS["market1501"](tmp_path, True)
    assert f" These folders lie in {tmp_path / home}. Unpack {archive}." in str(caught.value)
