"""File names, folder layouts and what is said when they are wrong."""

from pathlib import Path

import pytest
from PIL import Image

from reid.data.datasets import DATASETS
from reid.data.layout import parse_name, passed_over, scan
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
    rows, warnings = describe_counts(Splits((), (record,), (record,)), published)
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
