"""An index in an embedded database answers as one in a folder does."""

from pathlib import Path

import commands
import numpy as np
import pytest
from crops import pictures
from untrained import write_checkpoint

from reid.search import Filter, LocalIndex, make_rows
from reid.search.places import create_index, open_index
from reid.utils.errors import InputError

pytest.importorskip("qdrant_client")
FACTS = {"metric": "euclidean", "fingerprint": "f", "weight": "w.pth", "overrides": []}


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_it_answers_as_the_exact_index(tmp_path: Path, metric: str) -> None:
    dice = np.random.default_rng(0)
    rows = make_rows(
        dice.standard_normal((90, 5)),
        [f"/{number}.jpg" for number in range(90)],
        [f"p{number % 4}" for number in range(90)],
        [("", "a", "b")[number % 3] for number in range(90)],
        [np.nan if number % 4 == 0 else number for number in range(90)],
    )
    facts = {**FACTS, "metric": metric}
    there = create_index(f"qdrant:{tmp_path}/db/people", 5, facts)
    here = LocalIndex.create(tmp_path / "index", 5, **facts)  # type: ignore[arg-type]
    for index in (there, here):
        assert index.add(rows) == 90 and index.add(rows) == 0
        assert index.remove(["/3.jpg", "/nowhere"]) == 1
        assert index.known(["/3.jpg", "/4.jpg"]).tolist() == [False, True]
    queries = dice.standard_normal((6, 5)).astype(np.float32)
    wishes = [
        {},
        {"only": Filter(cameras=["a"], identities=["p1", "p2"])},
        {"only": Filter(without_cameras=["a"], since=10, until=60)},
        {"without": ["/5.jpg", None, "/x", None, None, "/7.jpg"]},
        {"without_cameras": ["a", "b", "", "a", "", "b"]},
    ]
    for wish in wishes:
        pair = [index.search(queries, 8, **wish) for index in (there, here)]  # type: ignore[arg-type]
        for one, other in zip(*pair, strict=True):
            assert [hit.path for hit in one] == [hit.path for hit in other]
            assert [hit.distance for hit in one] == pytest.approx([h.distance for h in other], 1e-4)
            assert repr(one[0]).partition("identity")[2] == repr(other[0]).partition("identity")[2]
    assert sorted(there.paths()) == sorted(here.paths())
    assert sorted(there.named(["p1"], ["b"])) == sorted(here.named(["p1"], ["b"]))
    np.testing.assert_allclose(there.feats_of(["/8.jpg"]), here.feats_of(["/8.jpg"]), atol=1e-6)
    there.close()
    again = open_index(f"qdrant:{tmp_path}/db/people")
    assert again.facts == {**facts, "dim": 5, "rows": 89}
    again.close()


def test_refusals(tmp_path: Path) -> None:
    place = f"qdrant:{tmp_path}/db/people"
    with pytest.raises(InputError, match="holds no index"):
        open_index(place)
    create_index(place, 5, FACTS).close()
    with pytest.raises(InputError, match="holds an index"):
        create_index(place, 5, FACTS)
    with pytest.raises(InputError, match="write qdrant:FOLDER/NAME"):
        open_index("qdrant:people")
    with pytest.raises(InputError, match=r"does not answer|cannot be opened"):
        open_index("qdrant:http://127.0.0.1:9/people")


def test_the_same_commands(data: Path, tmp_path: Path, narrow_resnet18: None) -> None:
    weight = write_checkpoint(tmp_path / "best.pth", data)
    crops = pictures(tmp_path / "crops", [f"{who}/{n}.png" for who in "ab" for n in range(4)])
    place = f"qdrant:{tmp_path}/db/people"
    commands.run("index", "build", place, crops, "--weight", weight)
    commands.run("index", "build", tmp_path / "index", crops, "--weight", weight)
    texts = [
        commands.run("index", "search", where, crops / "a/1.png", "-k", 5, "--re-rank", 6).stdout
        for where in (place, tmp_path / "index")
    ]
    listed = [[line.split()[-1] for line in text.splitlines()[3:]] for text in texts]
    assert listed[0] == listed[1] and len(listed[0]) == 5
    commands.run("index", "remove", place, "--identity", "a")
    assert "rows         4" in commands.run("index", "info", place).stdout
    refused = commands.run("index", "search", place, crops, "TEST.FLIP", "True", code=2)
    assert "was built with another model" in refused.stderr
