"""Approximate search by faiss: which neighbours it finds, and when it is not used."""

from pathlib import Path

import commands
import numpy as np
import pytest
from crops import pictures
from untrained import write_checkpoint

from reid.search import Filter, LocalIndex, make_rows
from reid.utils.errors import InputError

pytest.importorskip("faiss")


def clusters(count: int, seed: int, dim: int = 8) -> np.ndarray:
    dice = np.random.default_rng(seed)
    centers = np.random.default_rng(0).standard_normal((20, dim))
    return (centers[dice.integers(0, 20, count)] + dice.standard_normal((count, dim)) / 3).astype(
        np.float32
    )


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_it_finds_most_neighbours_with_exact_distances(tmp_path: Path, kind: str) -> None:
    index = LocalIndex.create(tmp_path / "index", 8)
    feats = clusters(2000, 1)
    paths = [f"{number}" for number in range(2000)]
    index.add(make_rows(feats, paths, cameras=["ab"[number % 2] for number in range(2000)]))
    index.remove(paths[:300])
    index.make_approximate(kind)
    index = LocalIndex(index.folder)
    assert index.facts["approximate"] == kind
    queries = clusters(50, 2)
    exact = index.search(queries, 10, exact=True)
    near = index.search(queries, 10)
    same = 0
    for one, other in zip(exact, near, strict=True):
        same += len({hit.path for hit in one} & {hit.path for hit in other})
    assert same > 0.9 * 500
    for one, query in zip(near, queries, strict=True):
        assert len(one) == 10
        for hit in one:
            assert int(hit.path) >= 300  # not removed
            true = np.linalg.norm(feats[int(hit.path)].astype(np.float64) - query)
            assert hit.distance == pytest.approx(true, rel=1e-6)
    only = Filter(cameras=["a"])
    pair = [index.search(queries, 10, only, exact=exact) for exact in (False, True)]
    paths_of = [[[hit.path for hit in one] for one in hits] for hits in pair]
    assert paths_of[0] == paths_of[1]
    own = [hit[0].path for hit in near]
    for path, one in zip(own, index.search(queries, 5, without=own), strict=True):
        assert len(one) == 5 and path not in {hit.path for hit in one}


def test_what_is_added_later_is_found(tmp_path: Path) -> None:
    index = LocalIndex.create(tmp_path / "index", 8)
    index.add(make_rows(clusters(200, 1), [f"{number}" for number in range(200)]))
    index.make_approximate("hnsw")
    query = np.full(8, 50, np.float32)
    index.add(make_rows(query[None], ["new"]))
    assert index.facts["approximate"] == "hnsw, outdated"
    assert index.search(query, 1)[0][0].path == "new"
    with pytest.raises(InputError, match="unknown kind of approximate search 'hnws'"):
        index.make_approximate("hnws")


def test_the_command_prints_what_is_found(
    data: Path, tmp_path: Path, narrow_resnet18: None
) -> None:
    weight = write_checkpoint(tmp_path / "best.pth", data)
    crops = pictures(tmp_path / "crops", [f"a/{n}.png" for n in range(12)])
    index = tmp_path / "index"
    more = ["--weight", weight, "--approximate", "hnsw"]
    done = commands.run("index", "build", index, crops, *more)
    assert "hnsw: 100.0 % of the 10 nearest of 12 images are found" in done.stdout
    pictures(tmp_path / "more", ["b/1.png", "b/2.png"])
    done = commands.run("index", "add", index, tmp_path / "more")
    assert "of 14 images are found" in done.stdout
    approximate, exact = (
        commands.run("index", "search", index, crops / "a/1.png", *flag).stdout
        for flag in ([], ["--exact"])
    )
    assert approximate == exact
