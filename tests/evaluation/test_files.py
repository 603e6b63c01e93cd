"""Features in a file: what goes in comes out, and nothing else is read."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from reid.evaluation.features import Features
from reid.evaluation.files import KEYS, load_features, save_features
from reid.utils.errors import InputError

CPU = torch.device("cpu")


def arrays(**changes):
    rng = np.random.default_rng(0)
    values = {}
    for split, count in (("query", 3), ("gallery", 5)):
        values[f"{split}_feats"] = rng.standard_normal((count, 4)).astype(np.float32)
        values[f"{split}_pids"] = np.arange(count)
        values[f"{split}_camids"] = np.zeros(count, np.int32)
    return {**values, **changes}


def write(folder: Path, **changes) -> Path:
    path = folder / "saved.npz"
    kept = {key: value for key, value in arrays(**changes).items() if value is not None}
    np.savez(path, **kept)
    return path


def test_what_is_saved_is_loaded(tmp_path):
    a = arrays()
    sides = [
        Features(torch.from_numpy(a[f"{s}_feats"]), a[f"{s}_pids"], a[f"{s}_camids"])
        for s in ("query", "gallery")
    ]
    save_features(tmp_path / "f.npz", *sides)
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        assert sorted(file) == sorted(KEYS)
    for ours, theirs in zip(load_features(tmp_path / "f.npz", CPU, False), sides, strict=True):
        assert torch.equal(ours.feats, theirs.feats)
        np.testing.assert_array_equal(ours.pids, theirs.pids)
        np.testing.assert_array_equal(ours.camids, theirs.camids)


def test_numbers_of_pictures_are_saved_where_they_are_known(tmp_path):
    a = arrays()
    numbers = {"query": np.array([4, 5, 6]), "gallery": np.array([4, 7, 8, 9, 6])}
    sides = [
        Features(torch.from_numpy(a[f"{s}_feats"]), a[f"{s}_pids"], a[f"{s}_camids"], numbers[s])
        for s in ("query", "gallery")
    ]
    save_features(tmp_path / "f.npz", *sides)
    query, gallery = load_features(tmp_path / "f.npz", CPU)
    assert np.array_equal(
        query.pictures[:, None] == gallery.pictures,
        numbers["query"][:, None] == numbers["gallery"],
    )
    assert load_features(write(tmp_path), CPU)[0].pictures is None


@pytest.mark.parametrize("kind", [str, np.bytes_])
def test_paths_are_numbers_too(tmp_path, kind):
    names = {"query": list("abc"), "gallery": list("xbcca")}
    given = {
        f"{split}_pictures": np.array(list(map(str, n))).astype(kind) for split, n in names.items()
    }
    query, gallery = load_features(write(tmp_path, **given), CPU)
    same = [[q == g for g in names["gallery"]] for q in names["query"]]
    assert (query.pictures[:, None] == gallery.pictures).tolist() == same


def test_without_cameras_they_are_unknown(tmp_path):
    none = {"query_camids": None, "gallery_camids": None}
    with pytest.raises(InputError, match="no array 'query_camids'"):
        load_features(write(tmp_path, **none), CPU)
    query, gallery = load_features(write(tmp_path, **none), CPU, cameras=False)
    assert query.camids.tolist() == [-1] * 3 and gallery.camids.tolist() == [-1] * 5


def test_features_are_normalized_where_asked(tmp_path):
    path = write(tmp_path)
    raw, scaled = (load_features(path, CPU, flag)[1].feats for flag in (False, True))
    torch.testing.assert_close(scaled, raw / raw.norm(dim=1, keepdim=True))


def test_several_views_of_an_image_become_one_vector(tmp_path):
    views = np.array([[[3.0, 0, 0, 0], [0, 0.5, 0, 0]]] * 3)
    feats = load_features(write(tmp_path, query_feats=views), CPU)[0].feats
    np.testing.assert_allclose(feats, [[0.5**0.5, 0.5**0.5, 0, 0]] * 3)
    mean = load_features(write(tmp_path, query_feats=views), CPU, False)[0].feats
    np.testing.assert_allclose(mean, [[1.5, 0.25, 0, 0]] * 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype(">f4"),
        lambda x: x.astype(np.float16).astype(np.float32)[::-1][::-1],
        np.asfortranarray,
    ],
)
def test_byte_order_and_layout_do_not_matter(tmp_path, change):
    feats = arrays()["query_feats"].astype(np.float16).astype(np.float32)
    loaded = load_features(write(tmp_path, query_feats=change(feats)), CPU, False)[0].feats
    np.testing.assert_array_equal(loaded, feats)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"query_pids": None},
            "^saved has no array 'query_pids'; it holds gallery",
        ),
        ({"gallery_pids": np.arange(4)}, r"gallery_pids must have shape \(5,\), got \(4,\)"),
        ({"query_camids": np.zeros(3)}, "query_camids must be integers, got float64"),
        ({"query_feats": np.ones((3, 7))}, "query features have 7 columns, gallery features 4"),
        ({"query_feats": np.ones(3)}, r"query features must be \(N, D\)"),
        ({"query_feats": np.ones((0, 2, 4))}, "query view features are empty"),
        ({"query_feats": np.zeros((3, 4))}, "query feature 0 is all zeros"),
        ({"query_feats": np.array([["a"] * 4] * 3)}, "query features must be real numbers"),
        ({"query_feats": np.ones((3, 4), complex)}, "must be real numbers, got complex128"),
        ({"gallery_feats": np.full((5, 4), np.inf)}, "gallery features hold NaN or infinite"),
        ({"query_pids": np.array([1, None, 2])}, "holds more than plain arrays of numbers"),
        ({"gallery_feats": np.full((5, 4), np.nan)}, "gallery features hold NaN or infinite"),
        ({"gallery_feats": np.full((5, 4), 1e30, np.float32)}, "gallery feature 0 is too long"),
        ({"gallery_feats": np.full((5, 4), np.longdouble("1e400"))}, "hold NaN or infinite"),
        ({"query_pids": np.array([1, 2, 2**64 - 1], np.uint64)}, "query_pids must be at most"),
        ({"query_pids": np.arange(3)[:, None]}, r"query_pids must have shape \(3,\), got \(3, 1\)"),
        ({"query_feats": np.ones((3, 2, 2, 4))}, r"query features must be \(N, D\)"),
        ({"query_feats": np.array(1.0)}, r"query features must be \(N, D\)"),
        ({"query_pictures": np.arange(3)}, "it has query_pictures, but only one of"),
        (
            {"query_pictures": np.arange(3), "gallery_pictures": np.arange(4)},
            r"gallery_pictures must be \(5,\) integers or texts, got int64 of \(4,\)",
        ),
        (
            {"query_pictures": np.arange(3), "gallery_pictures": np.array(list("abcde"))},
            "must both be integers, or both be texts",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_the_file(tmp_path, changes, message):
    with pytest.raises(InputError) as caught:
        load_features(write(tmp_path, **changes), CPU)
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "saved.npz"))
    assert re.search(message, text.replace(str(tmp_path / "saved.npz"), "saved"))


@pytest.mark.parametrize("dtype", [np.longdouble, np.float64, np.float16, np.uint16, np.int8, bool])
def test_any_real_numbers_are_features(tmp_path, dtype):
    feats = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 0]], dtype)
    loaded = load_features(write(tmp_path, query_feats=feats), CPU, False)[0].feats
    np.testing.assert_array_equal(loaded, feats)


def test_odd_features_are_loaded_or_named(tmp_path):
    """200 files, each with one array replaced by one of another type, shape or range."""
    rng = np.random.default_rng(0)
    values = [0, 1, -1, 2**63, np.nan, np.inf, 1e-40, 1e30, 1e300, "a", b"b", 1j, None]
    dtypes = ["<f4", ">f8", "f2", "i8", "u8", "?", "c8", "U3", "S2", "O", "g"]
    loaded, lines = 0, []
    for _ in range(200):
        key = KEYS[rng.integers(len(KEYS))]
        shape = arrays()[key].shape if rng.integers(2) else rng.integers(0, 6, rng.integers(0, 4))
        value = values[rng.integers(len(values))]
        try:
            array = np.full(shape, value).astype(dtypes[rng.integers(len(dtypes))])
        except (TypeError, ValueError, OverflowError, Warning):
            continue  # numpy cannot hold that value
        path = write(tmp_path, **{key: array})
        try:
            query, gallery = load_features(path, CPU, bool(rng.integers(2)))
        except InputError as error:
            lines.append(str(error))
            continue
        loaded += 1
        assert torch.isfinite(query.feats).all() and torch.isfinite(gallery.feats).all()
        assert len(query.pids) == len(query.camids) == len(query.feats)
    assert loaded > 5 and len(lines) > 100
    assert all(line.startswith(str(path)) and "\n" not in line for line in lines)


def test_a_folder_of_arrays_is_mapped(tmp_path):
    with pytest.raises(InputError, match=r"has no file query_feats\.npy"):
        load_features(tmp_path, CPU)
    for key, values in arrays().items():
        np.save(tmp_path / f"{key}.npy", values)
    feats = tmp_path / "gallery_feats.npy"
    before = feats.read_bytes()
    feats_of_file = load_features(tmp_path, CPU, False)[1].feats
    for normalize in (False, True):
        mapped = load_features(tmp_path, CPU, normalize)
        read = load_features(write(tmp_path), CPU, normalize)
        for ours, theirs in zip(mapped, read, strict=True):
            assert torch.equal(ours.feats, theirs.feats)
            np.testing.assert_array_equal(ours.pids, theirs.pids)
            np.testing.assert_array_equal(ours.camids, theirs.camids)
    query, gallery = (side.feats for side in mapped)
    assert query.data_ptr() + query.nbytes == gallery.data_ptr(), "one tensor has both"
    gallery.zero_()
    feats_of_file.zero_()
    assert feats.read_bytes() == before, "what is written stays in memory"
    for wrong in (before[:-8], b"no array", np.array({}).dumps()):
        feats.write_bytes(wrong)
        with pytest.raises(InputError, match=r"gallery_feats\.npy is no array of numpy\.save"):
            load_features(tmp_path, CPU)


def test_a_file_that_is_no_npz_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.npz does not exist"):
        load_features(tmp_path / "gone.npz", CPU)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match=r"text\.npz is not an npz file"):
        load_features(tmp_path / "text.npz", CPU)
    whole = write(tmp_path).read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"half\.npz is not an npz file, or is cut off"):
        load_features(tmp_path / "half.npz", CPU)
    spoiled = bytearray(whole)
    spoiled[200] ^= 1  # inside the first array
    (tmp_path / "spoiled.npz").write_bytes(spoiled)
    with pytest.raises(InputError, match=r"spoiled\.npz is damaged"):
        load_features(tmp_path / "spoiled.npz", CPU)


def test_a_pickle_in_the_file_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = write(tmp_path, query_pids=np.array([Trap()] * 3))
    with pytest.raises(InputError, match="more than plain arrays"):
        load_features(path, CPU)
    assert not (tmp_path / "ran").exists()
