"""Several data sets as one: what is different stays different."""

from pathlib import Path

import pytest

from reid.data.joining import join
from reid.data.records import Counts, ImageRecord, Splits, describe_counts
from reid.utils.errors import InputError


def splits(name: str, distractor: int | None = None, **more: object) -> Splits:
    """Two people to train, one to search for, of two cameras; and a distractor."""

    def image(pid: int, camid: int) -> ImageRecord:
        return ImageRecord(Path(f"{name}/{pid}_{camid}.jpg"), pid, camid)

    gallery = [image(5, 1)] + ([image(distractor, 0)] if distractor is not None else [])
    train = tuple(image(pid, camid) for pid in (1, 2) for camid in (0, 1))
    return Splits(train, (image(5, 0),), tuple(gallery), distractor, **more)


def test_people_and_cameras_of_two_sets_are_different_and_those_of_one_are_not() -> None:
    a, b = splits("a"), splits("b")
    both = join({"a": a, "b": b}, ["a", "b"], ["a", "b"])
    for part in (both.train, both.query, both.gallery):
        for one in part:
            for other in part:
                same_set = one.path.parent == other.path.parent
                same_name = one.path.name.split("_")[0] == other.path.name.split("_")[0]
                assert (one.pid == other.pid) == (same_set and same_name)
                if not same_set:
                    assert one.camid != other.camid
    assert [r._replace(source=0) for r in both.train[:4]] == list(a.train), (
        "the first keeps its ids"
    )
    assert [r.source for r in both.train] == [0] * 4 + [1] * 4
    assert {r.pid for r in both.query} <= {r.pid for r in both.gallery}


def test_train_and_test_may_be_of_different_sets() -> None:
    apart = join({"a": splits("a"), "b": splits("b")}, ["a"], ["b"])
    assert {r.path.parent.name for r in apart.train} == {"a"}
    assert {r.path.parent.name for r in apart.query + apart.gallery} == {"b"}
    assert {r.pid for r in apart.train}.isdisjoint(r.pid for r in apart.query)
    assert {r.camid for r in apart.query}.isdisjoint({0, 1})


def test_distractors_of_all_sets_are_one() -> None:
    both = join({"a": splits("a", 0), "b": splits("b", 7)}, [], ["a", "b"])
    assert both.distractor_pid == 0
    assert sorted(r.pid for r in both.gallery).count(0) == 2


def test_published_counts_are_added() -> None:
    published = {"train": Counts(4, 2, 2), "query": Counts(1, 1, 1), "gallery": Counts(2, 2, 2)}
    a, b = splits("a", 0, published=published), splits("b", 0, published=published)
    assert describe_counts(join({"a": a, "b": b}, ["a", "b"], ["a", "b"]))[1] == []
    assert join({"a": a, "b": splits("b")}, ["a", "b"], ["a"]).published is None


def test_val_is_that_of_what_is_trained_on() -> None:
    val = (splits("v").query, splits("v").gallery)
    both = join({"a": splits("a", val=val), "b": splits("b")}, ["a", "b"], ["b"])
    assert [len(part) for part in both.val] == [1, 1]
    assert {r.pid for r in both.val[0]}.isdisjoint(r.pid for r in both.query)


def test_ids_that_are_too_large_are_one_line() -> None:
    large = splits("a")._replace(query=(ImageRecord(Path("x"), 2**63 - 1, 0),))
    with pytest.raises(InputError, match="a: its ids are too large"):
        join({"a": large, "b": splits("b")}, ["a"], ["b"])
