"""What a test keeps of its rankings: the same places as a sort of everything, and read back."""

from pathlib import Path

import numpy as np
import pytest
from commands import run

from reid.evaluation import evaluate_features, pairwise_distance
from reid.evaluation.lists import Images, list_arrays, read_lists
from reid.utils.errors import InputError


def sides(seed: int, num_query: int, num_gallery: int) -> tuple[np.ndarray, ...]:
    """Features on a coarse grid, so that many distances are equal; ids of 6 people, 3 cameras."""
    rng = np.random.default_rng(seed)
    feats = [rng.integers(0, 3, (n, 3)).astype(np.float32) for n in (num_query, num_gallery)]
    pids = rng.integers(0, 6, num_query), rng.integers(-1, 6, num_gallery)
    camids = [rng.integers(0, 3, n) for n in (num_query, num_gallery)]
    return (*feats, *pids, *camids)


@pytest.mark.parametrize(("seed", "num_gallery", "keep"), [(0, 40, 7), (1, 40, 1), (2, 9, 50)])
def test_kept_places_are_those_of_a_whole_sort(seed: int, num_gallery: int, keep: int) -> None:
    q, g, q_pids, g_pids, q_cams, g_cams = sides(seed, 12, num_gallery)
    found = evaluate_features(q, g, q_pids, g_pids, q_cams, g_cams, keep=keep)
    dist = pairwise_distance(q, g)
    assert found.places.shape == found.distances.shape == (len(found.ap), keep)
    for row, query in enumerate(found.query_index):
        junk = (g_pids == -1) | ((g_pids == q_pids[query]) & (g_cams == q_cams[query]))
        order = [i for i in np.argsort(dist[query], kind="stable") if not junk[i]][:keep]
        assert found.places[row].tolist() == order + [-1] * (keep - len(order))
        np.testing.assert_array_equal(found.distances[row, : len(order)], dist[query, order])
        hits = [place for place, i in enumerate(order) if g_pids[i] == q_pids[query]]
        assert not hits or hits[0] == found.first_hit[row]


def arrays(root: Path) -> dict[str, np.ndarray]:
    q, g, q_pids, g_pids, q_cams, g_cams = sides(0, 12, 40)
    ranking = evaluate_features(q, g, q_pids, g_pids, q_cams, g_cams, keep=5)
    query = Images(q_pids, q_cams, np.array([str(root / f"query/{i}.jpg") for i in range(12)]))
    gallery = Images(g_pids, g_cams, np.array([f"/else/where/{i}.jpg" for i in range(40)]))
    return list_arrays({"plain": ranking, "re-ranked": ranking}, query, gallery, root)


def test_lists_are_read_back_and_follow_images_that_moved(tmp_path: Path) -> None:
    written = arrays(tmp_path / "data")
    np.savez_compressed(tmp_path / "ranking.npz", **written)
    lists = read_lists(tmp_path / "ranking.npz")
    assert list(lists.rankings) == ["plain", "re-ranked"]
    np.testing.assert_array_equal(lists.rankings["plain"].places, written["places"])
    np.testing.assert_array_equal(written["pids"], lists.query.pids[written["query_index"]])
    assert lists.path("query", 3) == tmp_path / "data/query/3.jpg"
    assert lists.path("gallery", 3) == Path("/else/where/3.jpg")
    moved = read_lists(tmp_path / "ranking.npz", tmp_path / "new")
    assert moved.path("query", 3) == tmp_path / "new/query/3.jpg"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("places", None, "places is missing): an older version wrote it"),
        ("query_pids", None, "query_pids is missing"),
        ("places", np.full((12, 5), 40), "the ranking plain do not fit"),
        ("places", np.full((12, 4), 1), "the ranking plain do not fit"),
        ("query_index", np.full(12, 12), "the ranking plain do not fit"),
        ("gallery_camids", np.zeros(3, np.int64), "gallery_camids does not fit gallery_pids"),
        ("query_pids", np.zeros((12, 1)), "does not fit query_pids"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, key: str, value: np.ndarray | None, says: str
) -> None:
    written = arrays(tmp_path)
    assert len(written["ap"]) == 12
    written[key] = value  # type: ignore[assignment]
    file = tmp_path / "ranking.npz"
    np.savez(file, **{k: v for k, v in written.items() if v is not None})
    with pytest.raises(InputError, match="test the run again") as error:
        read_lists(file)
    assert says in str(error.value) and str(file) in str(error.value)


def test_saved_features_have_lists_without_files(tmp_path: Path) -> None:
    q, g, q_pids, g_pids, q_cams, g_cams = sides(0, 12, 40)
    query = {"query_feats": q + 1, "query_pids": q_pids, "query_camids": q_cams}
    gallery = {"gallery_feats": g + 1, "gallery_pids": g_pids, "gallery_camids": g_cams}
    np.savez(tmp_path / "f.npz", **query, **gallery)
    run("test", "--features", tmp_path / "f.npz", "OUTPUT_DIR", tmp_path / "out")
    lists = read_lists(tmp_path / "out" / "ranking.npz")
    assert lists.query.files is None and lists.path("query", 0) is None
    assert lists.rankings["plain"].places.shape == (len(lists.rankings["plain"].ap), 50)
