"""Where results go: never over the result of something else, and always to the same place."""

import json
from pathlib import Path

import pytest

from reid.evaluation.places import Subject, place

OWN = Subject("weight", "market1501", "cross_camera", "aaa")


def write(output: Path, subject: Subject, own: bool = True) -> str:
    """Places a result and writes it, as a test does; returns the place."""
    names = place(output, subject, own)
    folder = output.joinpath(*names)
    folder.mkdir(parents=True, exist_ok=True)
    source = {"weight": {"weight": "x.pth"}, "features": {"features": "x.npz"}}
    entries = source.get(subject.source, {"reference": subject.source})
    facts = {"dataset": subject.dataset, "protocol": subject.protocol, "ids": subject.ids}
    (folder / "metrics.json").write_text(json.dumps({**entries, **facts}))
    return "/".join(names)


def test_each_kind_of_test_has_its_own_place_in_the_folder_of_a_run(tmp_path: Path) -> None:
    found = {
        write(tmp_path, OWN): "",
        write(tmp_path, Subject("weight", "duke", "cross_camera", "b"), False): "duke_cross_camera",
        write(tmp_path, Subject("weight", "market1501", "any_camera", "aaa"), False): (
            "market1501_any_camera"
        ),
        write(tmp_path, Subject("chance", "market1501", "cross_camera", "aaa"), False): (
            "chance_market1501_cross_camera"
        ),
        write(tmp_path, Subject("features", "", "cross_camera", "aaa"), False): (
            "features_cross_camera"
        ),
    }
    assert list(found) == [f"test/{name}" if name else "" for name in found.values()]
    assert len(list(tmp_path.rglob("metrics.json"))) == 5


def test_the_same_test_replaces_its_own_result(tmp_path: Path) -> None:
    cross = Subject("weight", "duke", "cross_camera", "b")
    for _ in range(2):
        assert write(tmp_path, OWN) == ""
        assert write(tmp_path, cross, own=False) == "test/duke_cross_camera"
    assert len(list(tmp_path.rglob("metrics.json"))) == 2


def test_other_images_under_the_same_name_are_kept_apart(tmp_path: Path) -> None:
    other = Subject("weight", "market1501", "cross_camera", "ccc")
    third = Subject("weight", "market1501", "cross_camera", "ddd")
    for _ in range(2):  # and the second time each goes where it went before
        assert write(tmp_path, OWN) == ""
        assert write(tmp_path, other) == "test/market1501_cross_camera"
        assert write(tmp_path, third) == "test/market1501_cross_camera_ddd"


def test_a_folder_of_no_run_belongs_to_what_comes_first(tmp_path: Path) -> None:
    features = Subject("features", "", "any_camera", "b")
    assert write(tmp_path, features) == ""
    assert write(tmp_path, OWN) == "test/market1501_cross_camera"
    assert write(tmp_path, features) == ""


def test_a_result_of_an_older_version_is_of_the_known_protocol(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps({"weight": "x.pth", "dataset": "market1501", "mAP": 0.5}))
    assert place(tmp_path, OWN, own=True) == ()
    other = Subject("weight", "market1501", "any_camera", "aaa")
    assert place(tmp_path, other, own=True) == ("test", "market1501_any_camera")


@pytest.mark.parametrize("content", ["[]", "no JSON", ""])
def test_what_is_no_result_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.json").write_text(content)
    assert place(tmp_path, OWN, own=True) == ()
