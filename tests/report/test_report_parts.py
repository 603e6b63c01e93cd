"""Parts of a report, on numbers that a person can check."""

from pathlib import Path

import numpy as np
import pytest

from reid.evaluation.lists import Images, Lists, RankedList, chosen, found, query_named
from reid.jobs.report import find_runs, names_of
from reid.report.cameras import camera_pairs
from reid.report.queries import shown_queries
from reid.report.rows import alike, differing_settings, rows_of
from reid.report.runs import Result
from reid.utils.errors import InputError

NAMES = ("a_c1.jpg", "b_c1.jpg", "c_c2.jpg", "d_c2.jpg")


def lists() -> Lists:
    """Four queries of two cameras; queries 0 and 2 show person 1, 1 and 3 person 2.

    The gallery: 0 and 1 show person 1 in cameras 1 and 2, 2 and 3 person 2 in cameras 1 and 2, and
    4 a stranger in camera 1. Query 1 has no match that counts, and is left out.
    """
    places = np.array([[1, 4, 2, -1], [4, 0, -1, -1], [2, 3, 1, -1]], np.int32)
    distances = np.where(places < 0, np.inf, [0.1, 0.2, 0.3, 0.0]).astype(np.float32)
    ap = np.array([1.0, 0.5, 0.75])
    ranked = RankedList(np.array([0, 2, 3]), ap, ap, np.array([0, 1, 0]), places, distances)
    query = Images(np.array([1, 2, 1, 2]), np.array([0, 0, 1, 1]), np.array(NAMES))
    gallery = Images(np.array([1, 1, 2, 2, 9]), np.array([0, 1, 0, 1, 0]), np.array(list("vwxyz")))
    return Lists(query, gallery, Path("nowhere"), {"plain": ranked})


def test_camera_pairs_are_counted_by_hand() -> None:
    table = camera_pairs(lists(), "cross_camera")
    assert table.query == [0, 1] and table.gallery == [0, 1]
    (own, there), (back, other) = table.pairs
    assert own.queries == other.queries == 0, "the own camera of a query is junk"
    # Of camera 1, query 0 finds gallery image 1 of camera 2 at once.
    assert (there.rank1, there.queries) == (1.0, 1)
    # Of camera 2, query 2 finds the stranger first, and query 3 finds image 2 of camera 1.
    assert (back.rank1, back.queries) == (0.5, 2)


def test_the_own_camera_counts_where_the_protocol_says_so() -> None:
    table = camera_pairs(lists(), "any_camera")
    # Queries 2 and 3 are of camera 2. Query 2 finds no match of camera 2; query 3 finds images 2
    # and 3, both of its person, and the match of camera 1 before it is no other person.
    assert (table.pairs[1][1].rank1, table.pairs[1][1].queries) == (0.5, 2)


def test_queries_are_chosen_by_their_precision() -> None:
    one = lists()
    assert chosen(one, "worst", 2) == [2, 3] and chosen(one, "best", 2) == [0, 3]
    assert chosen(one, "median", 1) == [3] and chosen(one, "worst", 9) == [2, 3, 0]
    hits = found(one, "plain", 2, 10).hits
    assert [(h.image, h.right, h.pid, h.camid) for h in hits] == [
        (4, False, 9, 0),
        (0, True, 1, 0),
    ]
    assert len(found(one, "plain", 0, 2).hits) == 2


def test_a_query_is_found_by_its_name() -> None:
    assert query_named(lists(), "c_c2.jpg") == query_named(lists(), "c_c2") == 2
    with pytest.raises(InputError, match=r"b_c1\.jpg has no match"):
        query_named(lists(), "b_c1.jpg")
    with pytest.raises(InputError, match=r"did you mean 'c_c2\.jpg'"):
        query_named(lists(), "c_c2.jpgg")


def test_images_that_are_not_there_leave_their_places_empty() -> None:
    shown = shown_queries(lists(), {"worst": 1, "median": 1, "best": 3})
    assert [(query.name, query.which) for query in shown] == [
        ("c_c2.jpg", "worst"),
        ("d_c2.jpg", "median"),
        ("a_c1.jpg", "best"),
    ]
    assert shown[0].picture == "" and set(shown[0].pictures.values()) == {""}


def result(run: str, mean: float, **more: object) -> Result:
    metrics = dict.fromkeys(("mAP", "mINP", "rank1", "rank5", "rank10"), mean)
    facts = {"recipe_hash": "r", "weight": "x/last.pth", "ids": "i", "num_queries": 3}
    return Result(run, Path(run), {**metrics, **facts, **more}, None, "")


def test_rows_hold_results_and_the_means_of_recipes() -> None:
    results = [
        result("a", 0.2, seed=0),
        result("b", 0.4, seed=1, re_ranked=dict.fromkeys(("mAP", "mINP", "rank1", "rank5",
                                                          "rank10"), 0.9)),
        result("c", 0.9, seed=2),
        result("d", 0.1, seed=1, recipe_hash="other"),
    ]  # fmt: skip
    rows = rows_of(results)
    assert [(r.label, r.ranking, r.seeds) for r in rows] == [
        ("a", "plain", "0"),
        ("b", "plain", "1"),
        ("b", "re-ranked", "1"),
        ("c", "plain", "2"),
        ("d", "plain", "1"),
        ("mean of a, b, c", "plain", "0, 1, 2"),
    ]
    mean = rows[-1].cells["mAP"]
    # Squares of the distances from 0.5: 0.09, 0.01, 0.16; half of their sum is 0.13.
    assert mean.mean == pytest.approx(0.5) and mean.sd == pytest.approx(0.13**0.5)
    assert rows[-1].mean_of == 3 and mean.interval is None


def test_intervals_come_from_whoever_has_them() -> None:
    asked = []

    def intervals(results: object, ranking: str, metric: str) -> tuple[float, float]:
        asked.append((ranking, metric))
        return 0.1, 0.3

    (row,) = rows_of([result("a", 0.2)], intervals)
    assert row.cells["rank1"].interval == (0.1, 0.3) and ("plain", "mINP") in asked


def test_a_seed_twice_has_no_mean_and_other_data_another_table() -> None:
    twice = [result("a", 0.2, seed=0), result("b", 0.4, seed=0)]
    assert all(row.mean_of == 0 for row in rows_of(twice))
    assert len(alike([*twice, result("c", 0.4, ids="other")])) == 2


def test_settings_are_shown_where_they_differ() -> None:
    configs = [{"A": 1, "B": 2, "OUTPUT_DIR": "x"}, {"A": 1, "B": 3, "C": 4, "OUTPUT_DIR": "y"}]
    assert differing_settings(configs) == [("B", ["2", "3"]), ("C", ["–", "4"])]


def test_runs_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("x/s1", "x/s0", "y"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.yml").touch()
    (tmp_path / "x/s0/test/other").mkdir(parents=True)  # part of a run
    names = [str(p.relative_to(tmp_path)) for p in find_runs([tmp_path, tmp_path / "y"])]
    assert names == ["x/s0", "x/s1", "y"]
    assert names_of([tmp_path / "a/s0", tmp_path / "b/s0"]) == ["a/s0", "b/s0"]
    assert names_of([tmp_path / "a/s0", tmp_path / "b/s1"]) == ["s0", "s1"]
    with pytest.raises(InputError, match="holds no run"):
        find_runs([tmp_path / "x/s0/test/other"])
    with pytest.raises(InputError, match="is not a folder"):
        find_runs([tmp_path / "none"])
