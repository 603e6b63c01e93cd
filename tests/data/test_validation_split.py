"""The validation split that is cut from train."""

from pathlib import Path

import pytest

from reid.data.records import ImageRecord
from reid.data.splitting import cut_validation
from reid.utils.errors import InputError


def records(num_ids: int = 10) -> tuple[ImageRecord, ...]:
    return tuple(
        ImageRecord(Path(f"{pid:04}_c{cam + 1}s1_{frame:06}_01.jpg"), pid, cam)
        for pid in range(1, num_ids + 1)
        for cam in range(3)
        for frame in range(2)
    )


def test_identities_are_disjoint_and_nothing_is_lost() -> None:
    cut = cut_validation(records(), 0.3, seed=1)
    held = {r.pid for r in cut.query}
    assert len(held) == 3
    assert held == {r.pid for r in cut.gallery}
    assert held.isdisjoint(r.pid for r in cut.train)
    assert sorted(cut.train + cut.query + cut.gallery) == sorted(records())


def test_one_query_per_identity_and_camera_with_a_match_elsewhere() -> None:
    cut = cut_validation(records(), 0.3, seed=1)
    assert len({(r.pid, r.camid) for r in cut.query}) == len(cut.query) == 9
    for q in cut.query:
        assert any(g.pid == q.pid and g.camid != q.camid for g in cut.gallery)


def test_the_seed_decides() -> None:
    assert cut_validation(records(), 0.3, 1) == cut_validation(records(), 0.3, 1)
    assert cut_validation(records(), 0.3, 1) != cut_validation(records(), 0.3, 2)


def test_identities_of_one_camera_stay_in_train() -> None:
    lonely = tuple(ImageRecord(Path(f"0099_c1s1_{i:06}_01.jpg"), 99, 0) for i in range(5))
    for seed in range(20):
        assert 99 in {r.pid for r in cut_validation(records() + lonely, 0.5, seed).train}


@pytest.mark.parametrize("fraction", [0.1, 0.9])
def test_too_small_a_side_is_an_error(fraction: float) -> None:
    with pytest.raises(InputError, match="must be held out"):
        cut_validation(records(), fraction, 0)


def one_camera(num_ids: int = 10, each: int = 3) -> tuple[ImageRecord, ...]:
    return tuple(
        ImageRecord(Path(f"{pid:04}_c1s1_{frame:06}_01.jpg"), pid, 0)
        for pid in range(1, num_ids + 1)
        for frame in range(each)
    )


def test_people_of_one_camera_can_be_held_out_where_any_camera_counts() -> None:
    with pytest.raises(InputError, match="0 are seen by two cameras"):
        cut_validation(one_camera(), 0.3, seed=1)
    cut = cut_validation(one_camera(), 0.3, seed=1, any_camera=True)
    held = {r.pid for r in cut.query}
    assert len(cut.query) == len(held) == 3
    assert sorted(r.pid for r in cut.gallery) == sorted([*held, *held])  # the two others of each
    assert held.isdisjoint(r.pid for r in cut.train)
    assert sorted(cut.train + cut.query + cut.gallery) == sorted(one_camera())
    with pytest.raises(InputError, match="0 have two images"):
        cut_validation(one_camera(each=1), 0.3, seed=1, any_camera=True)


def test_cameras_do_not_matter_where_any_camera_counts() -> None:
    cut = cut_validation(records(), 0.3, seed=1, any_camera=True)
    assert len(cut.query) == 3 and len(cut.gallery) == 3 * 5
