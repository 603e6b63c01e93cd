"""Published data sets: their true names and odd corners, in folders as they are unpacked."""

import json
from pathlib import Path

import pytest
from crops import picture, pictures

from reid.data.datasets import DATASETS
from reid.data.records import Records, describe_counts
from reid.utils.errors import InputError


def ids(records: Records) -> list[tuple[int, int]]:
    return [(record.pid, record.camid) for record in records]


# MSMT17

TRAIN = ["0000/0000_000_01_0303morning_0008_0.jpg", "0001/0001_002_15_0303noon_0300_1_ex.jpg"]
VAL = ["0000/0000_013_14_0303afternoon_1219_1.jpg"]
QUERY = ["0000/0000_000_05_0303morning_0020_0.jpg"]
GALLERY = ["0000/0000_001_06_0303morning_0021_0.jpg", "3059/3059_000_12_0302noon_1_0.jpg"]


def msmt17(home: Path, folders: tuple[str, str] = ("train", "test")) -> Path:
    pictures(home / folders[0], TRAIN + VAL)
    pictures(home / folders[1], QUERY + GALLERY)
    parts = {"train": TRAIN, "val": VAL, "query": QUERY, "gallery": GALLERY}
    for part, names in parts.items():
        lines = [f"{name} {int(name[:4])}\n" for name in names]
        (home / f"list_{part}.txt").write_text("".join(lines))
    return home


@pytest.mark.parametrize("home", ["MSMT17_V1", "msmt17/MSMT17_V1", "."])
def test_msmt17_is_read_by_its_lists(tmp_path: Path, home: str) -> None:
    msmt17(tmp_path / home)
    splits = DATASETS["msmt17"](tmp_path, True)
    assert ids(splits.train) == [(0, 0), (0, 13), (1, 14)]
    # Person 0 of the test is another one than person 0 of train.
    assert ids(splits.query) == [(1041, 4)] and ids(splits.gallery) == [(1041, 5), (4100, 11)]
    assert len(describe_counts(splits)[1]) == 9
    without = DATASETS["msmt17"](tmp_path, True, train_on_val=False)
    assert ids(without.train) == [(0, 0), (1, 14)]
    assert without.published["train"].images == 30248
    assert DATASETS["msmt17"](tmp_path, False).train == ()


def test_msmt17_v2_has_folders_of_its_own(tmp_path: Path) -> None:
    msmt17(tmp_path / "MSMT17_V2", ("mask_train_v2", "mask_test_v2"))
    assert len(DATASETS["msmt17"](tmp_path, True, version="v2").train) == 3
    with pytest.raises(InputError, match=r"DATASETS.MSMT17.VERSION says which version"):
        DATASETS["msmt17"](tmp_path, True)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("0000/0000_000_01.jpg 0", "line 1: expected such as"),
        ("0000/0000_000_01_0303morning_0008_0.jpg", "line 1: expected such as"),
        ("../0000_000_01_0303morning_0008_0.jpg 0", "line 1: expected such as"),
        ("0000/0000_000_16_0303morning_0008_0.jpg 0", "line 1: camera 16, but there are 15"),
        ("0000/0000_000_01_0303morning_9_0.jpg 0", "1 of them do not exist"),
    ],
)
def test_a_list_that_is_wrong_is_one_line(tmp_path: Path, line: str, part: str) -> None:
    home = msmt17(tmp_path / "MSMT17_V1")
    (home / "list_query.txt").write_text(line + "\n")
    with pytest.raises(InputError, match=part):
        DATASETS["msmt17"](tmp_path, False)


# CUHK03


def cuhk03(home: Path, boxes: str, folder: str = "/home/someone/cuhk03/images") -> None:
    parts = {"train": ["1_001_1_01.png", "1_001_2_06.png"], "query": ["1_003_1_01.png"],
             "gallery": ["1_003_2_07.png", "5_010_2_10.png"]}  # fmt: skip
    pictures(home / f"images_{boxes}", [name for names in parts.values() for name in names])
    # Like torchreid's: people of train are numbered from 0, those of the test are not.
    split = {part: [[f"{folder}/{name}", 0, 0] for name in names] for part, names in parts.items()}
    (home / f"splits_new_{boxes}.json").write_text(json.dumps([{**split, "num_train_pids": 767}]))


@pytest.mark.parametrize("boxes", ["detected", "labeled"])
@pytest.mark.parametrize("folder", ["/home/someone/cuhk03/images", "D:\\data\\images"])
def test_cuhk03_is_read_by_torchreids_lists(tmp_path: Path, boxes: str, folder: str) -> None:
    cuhk03(tmp_path / "cuhk03", boxes, folder)
    splits = DATASETS["cuhk03"](tmp_path, True, boxes=boxes)
    assert ids(splits.train) == [(10001, 0), (10001, 1)]
    assert ids(splits.query) == [(10003, 0)] and ids(splits.gallery) == [(10003, 1), (50010, 1)]
    assert splits.published["train"].images == {"detected": 7365, "labeled": 7368}[boxes]


def test_cuhk03_np_is_read_by_its_folders(tmp_path: Path) -> None:
    home = tmp_path / "cuhk03-np" / "labeled"
    pictures(home / "bounding_box_train", ["0001_c1_1.png", "0001_c2_6.png"])
    pictures(home / "query", ["0003_c1_1.png"])
    pictures(home / "bounding_box_test", ["0003_c2_7.png"])
    splits = DATASETS["cuhk03"](tmp_path, True, boxes="labeled")
    assert ids(splits.train) == [(1, 0), (1, 1)] and ids(splits.gallery) == [(3, 1)]
    with pytest.raises(InputError, match=r"CUHK03 .detected.: no folder with"):
        DATASETS["cuhk03"](tmp_path, True)


def test_cuhk03s_raw_file_alone_says_what_to_do(tmp_path: Path) -> None:
    raw = tmp_path / "cuhk03" / "cuhk03_release" / "cuhk-03.mat"
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"mat")
    with pytest.raises(InputError, match=r"cuhk-03.mat is the raw file.*take CUHK03-NP"):
        DATASETS["cuhk03"](tmp_path, True)


@pytest.mark.parametrize(
    "content", ["[]", "5", "{}", '[{"train": []}]', '[{"train":[[1,2,3]],"query":[],"gallery":[]}]',
                '[{"train":[["x.png",0,0]],"query":[],"gallery":[]}]']
)  # fmt: skip
def test_a_foreign_list_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "splits_new_detected.json").write_text(content)
    with pytest.raises(InputError, match=r"splits_new_detected.json"):
        DATASETS["cuhk03"](tmp_path, True)


# Sets in Market-1501's layout


def test_occluded_duke(tmp_path: Path) -> None:
    home = tmp_path / "Occluded_Duke"
    pictures(home / "bounding_box_train", ["0001_c2_f0046182.jpg"])
    pictures(home / "query", ["0005_c2_f0046985.jpg"])
    pictures(home / "bounding_box_test", ["0005_c8_f0046985.jpg"])
    splits = DATASETS["occluded_duke"](tmp_path, True)
    assert [ids(part) for part in splits[:3]] == [[(1, 1)], [(5, 1)], [(5, 7)]]
    assert splits.published["query"] == (2210, 519, 8)


def test_veri776_has_cameras_of_three_digits(tmp_path: Path) -> None:
    home = tmp_path / "VeRi"
    pictures(home / "image_train", ["0001_c001_00016450_0.jpg", "0001_c020_00016450_0.jpg"])
    pictures(home / "image_query", ["0002_c002_00030600_0.jpg"])
    pictures(home / "image_test", ["0002_c003_00084280_0.jpg"])
    for name in ("name_train.txt", "train_label.xml"):  # lie beside the folders
        (home / name).write_text("x")
    splits = DATASETS["veri776"](tmp_path, True)
    assert [ids(part) for part in splits[:3]] == [[(1, 0), (1, 19)], [(2, 1)], [(2, 2)]]
    with pytest.raises(InputError, match=r"image_train, image_query, image_test"):
        DATASETS["veri776"](tmp_path / "elsewhere", True)


def market(home: Path) -> None:
    pictures(home / "bounding_box_train", ["0002_c1s1_000451_03.jpg"])
    pictures(home / "query", ["0003_c1s1_001051_00.jpg"])
    pictures(home / "bounding_box_test", ["0003_c6s1_001051_00.jpg", "0000_c1s1_000151_01.jpg"])


@pytest.mark.parametrize("place", ["Market-1501-v15.09.15/images", "distractors_500k/images"])
def test_market1501_with_distractors(tmp_path: Path, place: str) -> None:
    market(tmp_path / "Market-1501-v15.09.15")
    names = ["0000_c1s1_000001_00.jpg", "0000_c6s3_000002_00.jpg", "-1_c2s1_000003_00.jpg"]
    pictures(tmp_path / place, names)
    splits = DATASETS["market1501_500k"](tmp_path, False)
    assert sorted(ids(splits.gallery)) == [(0, 0), (0, 0), (0, 5), (3, 5)]
    assert splits.distractor_pid == 0 and splits.published["gallery"].images == 515_913
    assert len(DATASETS["market1501"](tmp_path, False).gallery) == 2
    picture(tmp_path / place / "0003_c1s1_000004_00.jpg")
    with pytest.raises(InputError, match=r"identity 3 among the distractors"):
        DATASETS["market1501_500k"](tmp_path, False)


def test_market1501_without_distractors_says_which_archive(tmp_path: Path) -> None:
    market(tmp_path / "Market-1501-v15.09.15")
    with pytest.raises(InputError, match=r"Unpack distractors_500k\.zip"):
        DATASETS["market1501_500k"](tmp_path, False)


# Sets of two cameras and repeated random splits


def test_viper_is_split_in_halves(tmp_path: Path) -> None:
    people = [0, 1, 5, 7, 872, 873]  # numbers have gaps; angles differ between the cameras
    pictures(tmp_path / "VIPeR" / "cam_a", [f"{pid:03}_45.bmp" for pid in people])
    pictures(tmp_path / "VIPeR" / "cam_b", [f"{pid:03}_{135 + pid}.bmp" for pid in people])
    (tmp_path / "VIPeR" / "cam_a" / "Thumbs.db").write_bytes(b"x")
    found = [DATASETS["viper"](tmp_path, True, split) for split in range(10)]
    for splits in found:
        assert [len(part) for part in splits[:3]] == [6, 3, 3]
        assert {r.camid for r in splits.query} == {0} and {r.camid for r in splits.gallery} == {1}
        tested = {r.pid for r in splits.query}
        assert tested == {r.pid for r in splits.gallery}
        assert tested | {r.pid for r in splits.train} == set(people)
    assert len({tuple(ids(splits.query)) for splits in found}) > 3
    assert DATASETS["viper"](tmp_path, True, 4) == found[4]
    assert DATASETS["viper"](tmp_path, False, 4) == found[4]._replace(train=())


def test_viper_in_one_folder(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{pid:04}{camera:04}.png" for pid in range(1, 5) for camera in (1, 2)])
    splits = DATASETS["viper"](tmp_path, True, 0)
    assert [len(part) for part in splits[:3]] == [4, 2, 2]


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["001_45.bmp", "001_90.bmp"], "show person 1; there is one picture of a person"),
        (["one.bmp"], "the name tells no person"),
        ([], "one of the two cameras has no image"),
    ],
)
def test_a_camera_that_is_wrong_is_one_line(tmp_path: Path, names: list[str], part: str) -> None:
    (tmp_path / "cam_a").mkdir()
    pictures(tmp_path / "cam_a", names)
    pictures(tmp_path / "cam_b", ["001_90.bmp"])
    with pytest.raises(InputError, match=part):
        DATASETS["viper"](tmp_path, True, 0)


@pytest.fixture(scope="module")
def prid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prid") / "prid_2011" / "single_shot"
    for folder, people in (("cam_a", 385), ("cam_b", 749)):
        (home / folder).mkdir(parents=True)
        for pid in range(1, people + 1):
            (home / folder / f"person_{pid:04}.png").touch()  # names alone are read here
    return home.parents[1]


def test_prid2011_searches_100_among_649(prid: Path) -> None:
    splits = DATASETS["prid2011"](prid, True, 3)
    assert describe_counts(splits)[1] == [], "as published"
    trained = {r.pid for r in splits.train}
    # People 201 to 385 of camera a and 201 to 749 of camera b are different people.
    assert max(trained) <= 200 and max(r.pid for r in splits.query) <= 200
    assert trained.isdisjoint({r.pid for r in splits.gallery})


def test_prid2011_as_a_test_for_other_training(prid: Path) -> None:
    splits = DATASETS["prid2011"](prid, False, 3, test_on_all=True)
    assert (len(splits.query), len(splits.gallery)) == (200, 749)
    assert describe_counts(splits)[1] == []
    with pytest.raises(InputError, match=r"test_on_all leaves nobody to train on"):
        DATASETS["prid2011"](prid, True, 3, test_on_all=True)
