"""The index in a folder: exact answers, and nothing lost or broken by a kill."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killed import killed

from reid.search import Filter, LocalIndex, Rows, exact, local, make_rows
from reid.utils.errors import InputError
from reid.utils.lock import FolderLock

DIM = 6


def rows(count: int, seed: int = 0, prefix: str = "") -> Rows:
    dice = np.random.default_rng(seed)
    return make_rows(
        dice.standard_normal((count, DIM)),
        [f"/{prefix}{seed}/{number}.jpg" for number in range(count)],
        [f"p{number % 5}" for number in range(count)],
        [("", "a", "b")[number % 3] for number in range(count)],
        [np.nan if number % 4 == 0 else number for number in range(count)],
    )


def slow(query: np.ndarray, held: Rows, k: int, allowed: np.ndarray | None = None) -> list[str]:
    """The k nearest paths of one query by sorting all distances."""
    distance = np.linalg.norm(held.feats.astype(np.float64) - query, axis=1)
    if allowed is not None:
        distance[~allowed] = np.inf
    order = np.argsort(distance, kind="stable")[:k]
    return [held.paths[place] for place in order if np.isfinite(distance[place])]


def paths_of(hits: list[list[local.Hit]]) -> list[list[str]]:
    return [[hit.path for hit in found] for found in hits]


@pytest.fixture
def index(tmp_path: Path) -> LocalIndex:
    return LocalIndex.create(tmp_path / "index", DIM, fingerprint="f")


def test_answers_are_those_of_sorting_all_distances(
    index: LocalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "LEAST", 8)
    monkeypatch.setattr(exact, "MOST", 16)
    held = rows(301)
    assert index.add(held) == 301
    queries = np.random.default_rng(7).standard_normal((30, DIM)).astype(np.float32)
    hits = index.search(queries, 9)
    assert paths_of(hits) == [slow(query, held, 9) for query in queries]
    expected = np.linalg.norm(held.feats[:1].astype(np.float64) - queries[0], axis=1)[0]
    every = index.search(queries[:1], 301)[0]
    found = {hit.path: hit for hit in every}
    assert found[held.paths[0]].distance == pytest.approx(expected, rel=1e-12)
    assert (found[held.paths[1]].identity, found[held.paths[1]].camera) == ("p1", "a")
    assert found[held.paths[5]].time == 5 and np.isnan(found[held.paths[4]].time)
    assert len(found) == 301


def test_an_image_finds_itself_at_distance_zero_and_ties_are_in_order(index: LocalIndex) -> None:
    feats = np.repeat(np.random.default_rng(0).standard_normal((3, DIM)) + 1000, 2, 0)
    index.add(make_rows(feats, list("abcdef")))
    hits = index.search(feats[2], 2)[0]
    assert [(hit.path, hit.distance) for hit in hits] == [("c", 0.0), ("d", 0.0)]


@pytest.mark.parametrize(
    ("only", "allowed"),
    [
        (Filter(cameras=["a"]), lambda i: i % 3 == 1),
        (Filter(cameras=["a", "b"]), lambda i: i % 3 != 0),
        (Filter(without_cameras=["a"]), lambda i: i % 3 == 2),
        (Filter(identities=["p0", "p3"]), lambda i: i % 5 in (0, 3)),
        (Filter(since=10, until=20), lambda i: 10 <= i <= 20 and i % 4 != 0),
        (Filter(cameras=["nowhere"]), lambda i: False),
    ],
)
def test_filters(index: LocalIndex, only: Filter, allowed: object) -> None:
    held = rows(60)
    index.add(held)
    may = np.array([allowed(i) for i in range(60)])  # type: ignore[operator]
    queries = np.random.default_rng(3).standard_normal((4, DIM)).astype(np.float32)
    expected = [slow(query, held, 7, may) for query in queries]
    assert paths_of(index.search(queries, 7, only)) == expected


def test_what_a_query_leaves_out(index: LocalIndex) -> None:
    held = rows(40)
    index.add(held)
    queries = held.feats[:3]
    own = [held.paths[0], None, "/not/there.jpg"]
    cameras = ["", "a", "b"]
    found = paths_of(index.search(queries, 40, None, own, cameras))
    camera = np.array([number % 3 for number in range(40)])
    for number, hits in enumerate(found):
        may = np.ones(40, bool)
        if number == 0:
            may[0] = False
        else:
            may &= camera != number
        assert hits == slow(queries[number], held, 40, may)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=1, max_size=8), st.data())
def test_any_order_of_adding_and_removing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("index")
    index = LocalIndex.create(folder / "i", DIM)
    held: dict[str, np.ndarray] = {}
    for seed, (adding, count) in enumerate(steps):
        if adding or not held:
            more = rows(count, seed)
            index.add(more)
            held |= dict(zip(more.paths, more.feats, strict=True))
        else:
            gone = data.draw(st.lists(st.sampled_from(sorted(held)), max_size=count, unique=True))
            assert index.remove([*gone, "/nowhere"]) == len(gone)
            held = {path: feat for path, feat in held.items() if path not in gone}
    again = LocalIndex(folder / "i")
    assert len(again) == len(held)
    assert sorted(again.paths()) == sorted(held)
    if held:
        query = np.random.default_rng(9).standard_normal(DIM).astype(np.float32)
        hits = again.search(query, len(held))[0]
        distance = {p: np.linalg.norm(f.astype(np.float64) - query) for p, f in held.items()}
        assert [hit.distance for hit in hits] == pytest.approx(sorted(distance.values()))
        np.testing.assert_array_equal(again.feats_of(sorted(held))[0], held[min(held)])


def test_segments_stay_few_and_grow_together(
    index: LocalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LEAST", 0)
    for seed in range(32):
        index.add(rows(3, seed))
    assert index.facts["segments"] <= 7
    assert len(index) == 96
    monkeypatch.setattr(local, "MERGED", 0)
    index.add(rows(3, 64))
    index.add(rows(3, 65))
    assert index.facts["segments"] >= 3


def test_what_is_there_stays_as_it_is(index: LocalIndex) -> None:
    first = rows(5)
    index.add(first)
    other = make_rows(first.feats + 1, first.paths)
    assert index.add(other) == 0
    np.testing.assert_array_equal(index.feats_of(first.paths), first.feats)
    assert index.known([first.paths[2], "x"]).tolist() == [True, False]


@pytest.mark.parametrize("size", [3, 40])
def test_a_kill_at_any_step_loses_nothing_and_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(local, "LEAST", 10)  # 3 rows are merged with what is there, 40 are not
    folder = tmp_path / "index"
    held = {*rows(60).paths}
    LocalIndex.create(folder, DIM).add(rows(60))
    steps = 0
    for step in range(1, 100):
        new = rows(size, step)
        dies = killed(lambda: LocalIndex(folder).add(new), step)  # noqa: B023 - runs at once
        found = set(LocalIndex(folder).paths())
        assert found in (held, held | {*new.paths})  # all or nothing
        assert dies or found == held | {*new.paths}
        held = found
        LocalIndex(folder).check()
        steps = step
        if not dies:
            break
    assert steps > 10
    for step in range(1, 100):
        gone = sorted(held)[:2]
        dies = killed(lambda: LocalIndex(folder).remove(gone), step)  # noqa: B023
        found = set(LocalIndex(folder).paths())
        assert found in (held, held - {*gone})
        held = found
        if not dies:
            break
    index = LocalIndex(folder)
    index.add(rows(1, 1000))  # the next writer removes what the killed ones left
    named = {entry["name"] for entry in index.manifest["segments"]}
    assert {name for name in os.listdir(folder) if ".lock" not in name} == {
        "manifest.json", *named,
    }  # fmt: skip


def test_a_reader_does_not_mind_a_writer(index: LocalIndex) -> None:
    held = rows(20)
    index.add(held)
    reader = LocalIndex(index.folder)
    index.add(rows(20, 1))  # merges: the files that the reader has open are removed
    assert paths_of(reader.search(held.feats[:1], 1)) == [[held.paths[0]]]
    assert len(LocalIndex(index.folder)) == 40


def test_two_writers_take_turns(index: LocalIndex) -> None:
    other = LocalIndex(index.folder)
    index.add(rows(4))
    assert other.add(rows(4)) == 0  # it sees what the first one added
    assert other.add(rows(4, 1)) == 4
    lock = FolderLock(index.folder, ".write.lock")
    lock.acquire()
    with pytest.raises(InputError, match="is being written by another process"):
        index.add(rows(4, 2))
    lock.release()


def test_cosine_distances(tmp_path: Path) -> None:
    index = LocalIndex.create(tmp_path / "index", 2, "cosine")
    index.add(make_rows(np.array([[3.0, 0], [0, 0.1], [-2, 0]]), ["a", "b", "c"]))
    hits = index.search(np.array([5.0, 0]), 3)[0]
    assert [hit.path for hit in hits] == ["a", "b", "c"]
    assert [hit.distance for hit in hits] == pytest.approx([0, 1, 2])
    with pytest.raises(InputError, match="all zeros"):
        index.search(np.zeros(2), 1)


@pytest.mark.parametrize("name", ["feats.npy", "columns.npz", "paths.bin"])
def test_damage_is_found(index: LocalIndex, name: str) -> None:
    index.add(rows(30))
    file = index.folder / index.manifest["segments"][0]["name"] / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=f"the index is damaged: .*{name}"):
        LocalIndex(index.folder)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match=f"the index is damaged: .*{name}"):
        LocalIndex(index.folder).check()
    file.unlink()
    with pytest.raises(InputError, match=f"the index is damaged: .*{name}"):
        LocalIndex(index.folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 9}, "index of format 9"),
        ({"segments": [{"name": "../x", "rows": 1, "files": {}}]}, "a segment is called"),
        ({"dim": "six"}, "'dim' must be a whole number"),
    ],
)
def test_a_foreign_manifest_is_refused(
    index: LocalIndex, change: dict[str, object], says: str
) -> None:
    file = index.folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(InputError, match=says):
        LocalIndex(index.folder)


def test_bad_arguments(index: LocalIndex, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be \(Q, 6\)"):
        index.search(np.zeros((1, 5)), 1)
    with pytest.raises(InputError, match="k must be at least 1"):
        index.search(np.zeros(6), 0)
    with pytest.raises(InputError, match=r"\(N, 6\) as in the index"):
        index.add(make_rows(np.zeros((1, 5)), ["a"]))
    with pytest.raises(InputError, match="not finite"):
        make_rows(np.full((1, 6), np.nan), ["a"])
    with pytest.raises(InputError, match="holds an index"):
        LocalIndex.create(index.folder, 6)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(InputError, match="is not empty"):
        LocalIndex.create(tmp_path / "full", 6)
    with pytest.raises(InputError, match="holds no index"):
        LocalIndex(tmp_path / "full")
