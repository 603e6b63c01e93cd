"""Folders of crops: by person, by split and person, or by names as in Market-1501."""

from pathlib import Path

import pytest
from crops import picture, pictures

from reid.data.datasets import DATASETS
from reid.data.records import Splits
from reid.utils.errors import InputError


def load(path: Path, train: bool = True, split: int = 0, **more: object) -> Splits:
    return DATASETS["folder"](train, split, str(path), **more)


def names(records) -> list[str]:
    return [f"{record.path.parent.name}/{record.path.name}" for record in records]


BY_PERSON = [f"{person}/{n}.jpg" for person in ("Zoë K.", "ben", "王伟", "7") for n in (1, 2, 3)]


def test_a_folder_for_each_person(tmp_path: Path) -> None:
    splits = load(pictures(tmp_path, BY_PERSON))
    assert sorted(names(splits.train + splits.query + splits.gallery)) == sorted(BY_PERSON)
    assert len({r.pid for r in splits.train}) == 2 and len(splits.query) == 2
    assert not splits.cameras_known
    assert splits.drawn["folder"].rule.startswith("random split 0")
    assert splits.notes == {"train": [], "query": (), "gallery": ()}, "1.jpg is no name given twice"
    assert load(tmp_path, train=False) == splits._replace(train=())
    assert load(tmp_path, split=1).query != splits.query


def test_the_place_of_the_folder_changes_nothing(tmp_path: Path) -> None:
    one, other = (load(pictures(tmp_path / place, BY_PERSON)) for place in ("z/crops", "a"))
    assert [names(part) for part in one[:3]] == [names(part) for part in other[:3]]


def test_folders_of_splits_and_people(tmp_path: Path) -> None:
    pictures(tmp_path, ["Train/x/1.jpg", "Train/y/1.jpg", "query/z/a.png", "gallery/z/b.png"])
    splits = load(tmp_path)
    assert [names(part) for part in splits[:3]] == [
        ["x/1.jpg", "y/1.jpg"],
        ["z/a.png"],
        ["z/b.png"],
    ]
    assert not splits.drawn


def test_a_folder_called_test_is_cut(tmp_path: Path) -> None:
    pictures(tmp_path, [f"train/x/{n}.jpg" for n in "12"] + [f"test/y/{n}.jpg" for n in "123"])
    splits = load(tmp_path)
    assert [len(part) for part in splits[:3]] == [2, 1, 2]
    assert splits.drawn["folder"].rule.startswith("test is cut")


MARKET = [f"{pid:04}_c{camera}s1_{n:06}_01.jpg" for pid in (1, 2, 30) for camera in (1, 12)
          for n in (1, 2)]  # fmt: skip


def test_names_as_in_market_1501_tell_people_and_cameras(tmp_path: Path) -> None:
    splits = load(pictures(tmp_path, [*MARKET, "-1_c1s1_000001_00.jpg"]))
    assert splits.cameras_known and {r.camid for r in splits.query} == {0, 1}
    assert len(splits.train + splits.query + splits.gallery) == len(MARKET), "-1 is junk"


def test_market_1501s_own_folders_with_any_number_of_images(tmp_path: Path) -> None:
    for folder, part in zip(("bounding_box_train", "query", "bounding_box_test"),
                            (MARKET[:4], MARKET[4:5], MARKET[6:]), strict=True):  # fmt: skip
        pictures(tmp_path / folder, part)
    splits = load(tmp_path)
    assert [len(part) for part in splits[:3]] == [4, 1, 6]
    assert splits.published is None and splits.cameras_known


def test_cameras_are_read_off_names_in_folders_of_people(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{name[:4]}/{name}" for name in MARKET])
    assert load(tmp_path).cameras_known
    picture(tmp_path / "0001" / "0002_c1s1_000009_01.jpg", 99)  # of another person than its folder
    assert not load(tmp_path).cameras_known


@pytest.mark.parametrize(
    ("files", "part"),
    [
        ([], "no images in this folder, or in folders of people in it"),
        (["x/notes.txt"], "no images in this folder.*1 files are not read"),
        (["x/1.jpg"], "one person, 0 of whom can be searched for"),
        (["x/1.jpg", "x/2.jpg"], "one person, 1 of whom can be searched for"),
        (["x/1.jpg", "1.jpg"], "1 images lie beside folders with images .first: 1.jpg"),
        (["photo.jpg"], "tells no identity and camera"),
        (["train/x/1.jpg", "trian/x/1.jpg"], "trian lies beside folders of splits, and is none"),
        (["train/x/1.jpg", "bounding_box_train/x/1.jpg"], "are both of split train"),
        (["train/x/1.jpg", "query/0001_c1s1_000001_01.jpg"], "lay both out in the same way"),
        (["train/x/1.jpg", "query/x/2.jpg", "gallery/x/3.jpg"], "1 people are in both train and"),
        (["train/x/1.jpg", "gallery/.hidden"], "gallery: no images in this folder"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, files: list[str], part: str) -> None:
    for seed, name in enumerate(files):
        if name.endswith(".jpg"):
            picture(tmp_path / name, seed)
        else:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("no picture")
    with pytest.raises(InputError, match=part) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    for path, part in ((tmp_path / "no", "does not exist"), (picture(tmp_path / "a.jpg"), "is no")):
        with pytest.raises(InputError, match=f"path .*{part}"):
            load(path)
    with pytest.raises(InputError, match="path is empty"):
        DATASETS["folder"](True, 0)


def test_a_closed_set_is_split_by_images(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{person}/{n}.jpg" for person in "abc" for n in range(6)])
    splits = load(tmp_path, closed_set=True)
    assert {r.pid for r in splits.train} == {r.pid for r in splits.query} == {0, 1, 2}
    assert [len(part) for part in splits[:3]] == [9, 3, 6]
