"""Arrays as a short text: what goes in comes out, rounded as it says, and nothing else is taken."""

import json

import numpy as np
import pytest

from reid.utils.errors import ArgumentError
from reid.utils.packed import STEPS, pack, unpack


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "ap": rng.random(300),
        "hits": rng.integers(-1, 20_000, 300),
        "ends": np.arange(300.0) % 2,
    }


def test_what_goes_in_comes_out() -> None:
    before = arrays()
    after = unpack(json.loads(json.dumps(pack(before))))
    assert list(after) == list(before)
    assert (after["hits"] == before["hits"]).all() and after["hits"].dtype == np.int64
    assert (after["ends"] == before["ends"]).all(), "0 and 1 are kept"
    assert 0 < np.abs(after["ap"] - before["ap"]).max() <= 0.5 / STEPS
    again = unpack(pack(after))
    assert all((again[key] == after[key]).all() for key in after), "rounding twice changes nothing"


def test_the_layout_is_what_the_module_says() -> None:
    """First bytes of all values, then second ones: 1 is 65535, one half is 32768 (0x8000)."""
    import base64
    import zlib

    packed = pack({"x": np.array([1.0, 0.5]), "n": np.array([1, 258])})
    assert packed["arrays"] == {"x": "fraction", "n": "whole"} and packed["length"] == 2
    content = zlib.decompress(base64.b64decode(packed["packed"]))
    assert content == bytes([0xFF, 0x00, 0xFF, 0x80, 1, 2, 0, 1, 0, 0, 0, 0])


def test_a_cell_of_a_study_takes_some_kilobytes() -> None:
    """300 queries, each with 4 matches among 1240, ranked in ten ways: docs/ablations.md."""
    rng = np.random.default_rng(0)
    letters = 0
    for _ in range(10):
        places = np.sort(np.exp(rng.uniform(0, np.log(900), (300, 4))).astype(int), 1)
        ranks = places + np.arange(4)  # from 1, no two alike
        ap = (np.arange(1, 5) / ranks).mean(1)
        kept = {"ap": ap, "inp": 4 / ranks[:, -1], "first_hit": ranks[:, 0] - 1}
        letters += len(pack(kept)["packed"])
    assert letters < 20 * 1024, "some 5 KiB are left for the words"


@pytest.mark.parametrize(
    "values",
    [
        {"x": np.array([1.1])},
        {"x": np.array([-0.1])},
        {"x": np.array([np.nan])},
        {"x": np.array([2**31])},
        {"x": np.array(["a"])},
        {"x": np.zeros(2), "y": np.zeros(3)},
        {"x": np.zeros((2, 2))},
        {},
    ],
)
def test_what_cannot_be_packed_is_refused(values: dict[str, np.ndarray]) -> None:
    with pytest.raises(ArgumentError, match="arrays"):
        pack(values)


@pytest.mark.parametrize(
    "change",
    [
        {"length": 299},
        {"length": 301},
        {"length": 10**12},
        {"length": "x"},
        {"length": None},
        {"arrays": {"ap": "text"}},
        {"arrays": ["ap"]},
        {"arrays": {}},
        {"packed": "AAAA"},
        {"packed": "no base64!"},
        {"packed": 3},
    ],
)
def test_damage_is_told(change: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match="holds no packed arrays"):
        unpack({**pack(arrays()), **change})


def test_other_things_are_told() -> None:
    for other in (None, [], "x", {"length": 3}):
        with pytest.raises(ArgumentError):
            unpack(other)
