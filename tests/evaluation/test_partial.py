"""A long search that is stopped at any moment goes on, and finds the same to the bit."""

import errno

import numpy as np
import pytest
import torch

from reid.evaluation import evaluate_reranked, loops, neighbors, partial, screening
from reid.evaluation.features import Features
from reid.evaluation.neighbors import nearest
from reid.evaluation.partial import PartialSearch
from reid.evaluation.retrieval import Expansion, ReRanking, Retrieval
from reid.utils.errors import InputError

SIZE, WIDTH, BLOCK = 150, 24, 32


class StopError(Exception):
    """Stands for a kill."""


@pytest.fixture(autouse=True)
def each_block_is_kept(monkeypatch):
    monkeypatch.setattr(partial, "SECONDS", 0.0)
    monkeypatch.setattr(loops, "WIDTH_FROM", 1)
    monkeypatch.setattr(loops, "has_fast_integers", lambda: True)


@pytest.fixture(params=["screened", "compared"])
def way(request, monkeypatch):
    """Both ways of finding neighbours, on any processor."""
    monkeypatch.setattr(loops, "COMPILED_FROM", 0 if request.param == "screened" else 1 << 60)
    return request.param


def people(seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, WIDTH))
    feats = centres[rng.integers(0, 20, SIZE)] + 0.3 * rng.standard_normal((SIZE, WIDTH))
    return torch.from_numpy(feats.astype(np.float32))


def count_products(monkeypatch) -> list[int]:
    """Counts the blocks that are multiplied, in either way."""
    calls: list[int] = []
    screened, compared = screening.Screen.products, torch.mm

    def products(self, a, b):
        if isinstance(a, slice) and a.step is None:  # not the trial before the search
            calls.append(1)
        return screened(self, a, b)

    def mm(*args, **kwargs):
        calls.append(1)
        return compared(*args, **kwargs)

    monkeypatch.setattr(screening.Screen, "products", products)
    monkeypatch.setattr(neighbors.torch, "mm", mm)
    return calls


def stop_after(monkeypatch, number: int) -> None:
    """Ends the search behind a number of saved blocks."""
    after = PartialSearch.after
    saved: list[int] = []

    def once(self, done, lists, last=False):
        after(self, done, lists, last)
        saved.append(done)
        if len(saved) == number:
            raise StopError

    monkeypatch.setattr(PartialSearch, "after", once)


@pytest.mark.parametrize("number", [1, 6, 15])
def test_a_search_goes_on_where_it_was_stopped(way, number, tmp_path, monkeypatch) -> None:
    feats, file = people(), tmp_path / "state.npz"
    whole = nearest(feats, 5, BLOCK)
    with monkeypatch.context() as patch:
        stop_after(patch, number)
        with pytest.raises(StopError):
            nearest(feats, 5, BLOCK, PartialSearch(file))
    calls = count_products(monkeypatch)
    again = nearest(feats, 5, BLOCK, PartialSearch(file))
    assert len(calls) == 15 - number  # 5 blocks of rows, so 15 pairs
    assert torch.equal(whole.index, again.index)
    assert torch.equal(whole.sqdist, again.sqdist)
    assert torch.equal(whole.farthest, again.farthest)


@pytest.mark.parametrize("change", ["features", "one number", "k", "block"])
def test_a_state_of_something_else_is_not_used(way, change, tmp_path, monkeypatch) -> None:
    file = tmp_path / "state.npz"
    nearest(people(), 5, BLOCK, PartialSearch(file))
    feats = people(1 if change == "features" else 0)
    if change == "one number":
        feats[77, 3] += 0.5
    k, block = 6 if change == "k" else 5, 31 if change == "block" else BLOCK
    calls = count_products(monkeypatch)
    found = nearest(feats, k, block, PartialSearch(file))
    assert len(calls) == 15
    whole = nearest(feats, k, block)
    assert torch.equal(found.index, whole.index)


def test_a_state_that_cannot_be_read_is_named(way, tmp_path) -> None:
    file = tmp_path / "state.npz"
    nearest(people(), 5, BLOCK, PartialSearch(file))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"state\.npz .* remove it, and the search begins anew"):
        nearest(people(), 5, BLOCK, PartialSearch(file))


def test_each_re_ranking_has_a_state_of_its_own(way, tmp_path, monkeypatch) -> None:
    feats, ids = people(), np.random.default_rng(0).integers(0, 4, (2, SIZE))
    query, gallery = (Features(feats[r], *ids[:, r]) for r in (slice(30), slice(30, None)))
    rerank, expansion = ReRanking(k1=6, k2=3), Expansion()
    files: list[str] = []
    load = PartialSearch.load

    def named(self, *args):
        files.append(self.path.name)
        return load(self, *args)

    monkeypatch.setattr(PartialSearch, "load", named)
    retrieval = Retrieval(rerank=rerank, expansion=expansion, partial=tmp_path / "re-ranking.npz")
    found = dict(retrieval.rankings(query, gallery))
    assert list(found) == ["plain", "re-ranked", "AQE", "AQE, re-ranked"]
    assert files == ["re-ranking.npz", "aqe-re-ranking.npz"] and not any(tmp_path.iterdir())


def test_re_ranking_keeps_the_state_until_it_is_done(way, tmp_path, monkeypatch) -> None:
    feats, file = people(), tmp_path / "state.npz"
    rng = np.random.default_rng(0)
    pids, camids = rng.integers(0, 20, SIZE), rng.integers(0, 4, SIZE)
    sides = (feats[:30], feats[30:], pids[:30], pids[30:], camids[:30], camids[30:])
    whole = evaluate_reranked(*sides, k1=6, k2=3)
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(StopError):
            evaluate_reranked(*sides, k1=6, k2=3, partial=file)
    assert file.exists()
    assert evaluate_reranked(*sides, k1=6, k2=3, partial=file).mAP == whole.mAP
    assert not file.exists() and not any(tmp_path.iterdir())


def test_a_short_search_writes_nothing(way, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(partial, "SECONDS", 600.0)
    nearest(people(), 5, BLOCK, PartialSearch(tmp_path / "state.npz"))
    assert not any(tmp_path.iterdir())


def test_a_full_disk_does_not_end_a_search(way, tmp_path, monkeypatch, caplog) -> None:
    feats, file = people(), tmp_path / "state.npz"

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(partial, "write_whole", full)
    found = nearest(feats, 5, BLOCK, PartialSearch(file))
    assert torch.equal(found.index, nearest(feats, 5, BLOCK).index)
    assert f"warning: {file} was not written: [Errno 28] No space left" in caplog.text


def test_sides_that_lie_behind_each_other_are_not_copied() -> None:
    from reid.evaluation.rerank import _joined

    feats = people()
    together = _joined(feats[:30], feats[30:])
    assert together.data_ptr() == feats.data_ptr() and torch.equal(together, feats)
    for query, gallery in (
        (feats[30:], feats[:30]),
        (feats[:30], feats[31:]),
        (feats[:30].clone(), feats[30:]),
        (feats[:30, :8], feats[30:, :8]),
    ):
        assert torch.equal(_joined(query, gallery), torch.cat([query, gallery]))
        assert _joined(query, gallery).data_ptr() != query.data_ptr()
