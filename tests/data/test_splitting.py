"""How people are dealt to train, query and gallery: what holds for every draw."""

from pathlib import Path

import numpy as np
import pytest

from reid.data.records import ImageRecord, Records
from reid.data.splitting import cut_query, cut_validation, draw_closed, draw_open
from reid.utils.errors import InputError


def people(num_ids: int, cameras: int, each: int) -> Records:
    return tuple(
        ImageRecord(Path(f"{pid}/{camera}_{number}.jpg"), pid, camera)
        for pid in range(num_ids)
        for camera in range(cameras)
        for number in range(each)
    )


def pids(records: Records) -> set[int]:
    return {record.pid for record in records}


# (cameras, images of each person and camera, whether cameras do not count)
KINDS = [(3, 2, False), (2, 1, False), (1, 4, True), (3, 2, True)]


@pytest.mark.parametrize(("cameras", "each", "any_camera"), KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_people_of_train_are_not_searched_for_and_nothing_is_lost(
    cameras: int, each: int, any_camera: bool, seed: int
) -> None:
    records = people(9, cameras, each)
    train, query, gallery = draw_open(records, 0.5, seed, any_camera)
    assert sorted(train + query + gallery) == sorted(records)
    assert pids(train).isdisjoint(pids(query) | pids(gallery))
    assert len(pids(train)) == 4 and len(pids(query)) == 5  # round(4.5) is 4


@pytest.mark.parametrize(("cameras", "each", "any_camera"), KINDS)
@pytest.mark.parametrize("draw", [draw_open, draw_closed])
def test_every_query_has_a_match(draw, cameras: int, each: int, any_camera: bool) -> None:
    for seed in range(5):
        _, query, gallery = draw(people(9, cameras, 2 * each), 0.5, seed, any_camera)
        assert query
        for q in query:
            matches = [g for g in gallery if g.pid == q.pid and g.path != q.path]
            assert any(any_camera or g.camid != q.camid for g in matches)


@pytest.mark.parametrize("draw", [draw_open, draw_closed])
def test_the_seed_decides_and_the_order_of_files_does_not(draw) -> None:
    records = people(8, 2, 3)
    shuffled = tuple(records[i] for i in np.random.default_rng(0).permutation(len(records)))
    assert draw(records, 0.5, 3) == draw(shuffled, 0.5, 3)
    assert draw(records, 0.5, 3) != draw(records, 0.5, 4)


def test_a_closed_set_shares_people_and_no_image() -> None:
    records = people(6, 2, 4)
    train, query, gallery = draw_closed(records, 0.5, 0)
    assert pids(train) == pids(query) == pids(gallery) == set(range(6))
    assert sorted(train + query + gallery) == sorted(records)
    assert len(train) == 24


def test_one_image_a_camera_makes_the_first_camera_the_query() -> None:
    query, gallery = cut_query(people(3, 2, 1), np.random.default_rng(0))
    assert [q.camid for q in query] == [0, 0, 0] and [g.camid for g in gallery] == [1, 1, 1]


def test_a_camera_of_one_image_gives_no_query_beside_one_of_several() -> None:
    records = (*people(1, 1, 1), ImageRecord(Path("a"), 0, 1), ImageRecord(Path("b"), 0, 1))
    query, gallery = cut_query(records, np.random.default_rng(0))
    assert [q.camid for q in query] == [1] and len(gallery) == 2


def test_people_who_cannot_be_matched_are_gallery_and_both_kinds_are_dealt() -> None:
    pairs = people(4, 2, 1)
    lonely = tuple(ImageRecord(Path(f"l{pid}"), pid, 0) for pid in range(10, 14))
    train, query, gallery = draw_open(pairs + lonely, 0.5, 0)
    assert len(pids(train) & set(range(4))) == 2 and len(pids(train) & set(range(10, 14))) == 2
    assert len(query) == 2 and len(pids(gallery)) == 4


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_each_side_has_a_person(fraction: float) -> None:
    train, query, _ = draw_open(people(2, 2, 1), fraction, 0)
    assert len(pids(train)) == len(pids(query)) == 1


@pytest.mark.parametrize(("fraction", "trained"), [(0, 0), (1, 16)])
def test_all_may_go_to_one_side(fraction: float, trained: int) -> None:
    train, query, gallery = draw_open(people(4, 2, 2), fraction, 0)
    assert len(train) == trained and len(query + gallery) == 16 - trained


@pytest.mark.parametrize("records", [people(1, 2, 2), people(4, 1, 3)])
def test_too_few_people_are_one_line(records: Records) -> None:
    with pytest.raises(InputError, match="a split needs two people, one of whom"):
        draw_open(records, 0.5, 0)


def test_people_whom_each_camera_took_once_can_be_held_out() -> None:
    cut = cut_validation(people(10, 2, 1), 0.3, seed=1)
    assert len(cut.query) == len(cut.gallery) == 3 and len(cut.train) == 14
