"""``reid embed``: features with paths in a file, whatever happens on the way."""

import os
import shutil
from pathlib import Path

import commands
import numpy as np
import pytest
from crops import picture, pictures, table
from killed import killed
from untrained import write_checkpoint

import reid
from reid.data.image_lists import list_images, seconds_of
from reid.embedding.files import read_features
from reid.embedding.pieces import piece_size
from reid.jobs import embed as job
from reid.utils.errors import InputError

pytestmark = pytest.mark.usefixtures("narrow_resnet18")
NAMES = [f"{who}/{number}.png" for who in ("anna", "ben", "carl") for number in range(5)]


@pytest.fixture(scope="module")
def weight(data: Path, narrow_resnet18: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "best.pth", data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pictures(tmp_path / "crops", NAMES)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of four images."""
    monkeypatch.setattr(job, "piece_size", lambda _: 4)


@pytest.mark.parametrize("name", ["feats.npz", "feats"])
def test_features_stand_beside_their_paths(
    weight: Path, folder: Path, tmp_path: Path, name: str, small_pieces: None
) -> None:
    out = tmp_path / "deeper" / name
    done = commands.run("embed", weight, folder, "-o", out, "TEST.FLIP", "True")
    assert "15 images, 64 numbers each" in done.stdout
    found = read_features(out)
    assert found.paths == [str(folder / name) for name in NAMES]
    model = reid.load(weight, "cpu", ["TEST.FLIP", True])
    np.testing.assert_allclose(found.feats, model.embed(found.paths), atol=1e-6)
    assert found.fingerprint == model.fingerprint
    assert os.listdir(out.parent) == [name]
    again = commands.run("embed", weight, folder, "-o", out, code=2)
    assert f"{out} exists" in again.stderr


def test_numpy_alone_reads_it(weight: Path, folder: Path, tmp_path: Path) -> None:
    commands.run("embed", weight, folder, "-o", tmp_path / "a.npz")
    commands.run("embed", weight, folder, "-o", tmp_path / "a")
    arrays = np.load(tmp_path / "a.npz")
    mapped = np.load(tmp_path / "a" / "feats.npy", mmap_mode="r")
    np.testing.assert_array_equal(arrays["feats"], mapped)
    assert arrays["feats"].dtype == np.float32
    assert (tmp_path / "a" / "paths.txt").read_text().split() == list(arrays["paths"])


@pytest.mark.parametrize("name", ["feats.npz", "feats"])
def test_a_kill_at_any_step_costs_at_most_a_piece(
    weight: Path,
    folder: Path,
    tmp_path: Path,
    small_pieces: None,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands.run("embed", weight, folder, "-o", tmp_path / "whole.npz")
    whole = read_features(tmp_path / "whole.npz")
    model = reid.load(weight, "cpu")
    monkeypatch.setattr(job, "load_extractor", lambda *_: model)
    out = tmp_path / "out" / name
    kept = 0
    step = 1
    while killed(lambda: job.embed(weight, [str(folder)], out, "cpu"), step):
        if out.exists():  # it died while it cleaned up
            break
        pieces = len(list(out.parent.glob("*.parts/0*.npz")))
        assert pieces >= kept  # what is finished is not lost, and not redone
        kept = pieces
        step += 1
    found = read_features(out)
    assert found.paths == whole.paths
    np.testing.assert_allclose(found.feats, whole.feats, atol=1e-6)
    assert kept == 4


def test_a_changed_picture_is_embedded_anew(
    weight: Path, folder: Path, tmp_path: Path, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "feats.npz"
    with monkeypatch.context() as patch:
        patch.setattr(job, "_merge", lambda *_: (_ for _ in ()).throw(InputError("stopped")))
        with pytest.raises(InputError, match="stopped"):
            job.embed(weight, [str(folder)], out, "cpu")
    picture(folder / "ben/0.png", 99, (9, 18))
    said: list[str] = []
    job.embed(weight, [str(folder)], out, "cpu", report=said.append)
    assert said[0] == "going on: 3 of 4 pieces of 4 images are there"
    found = read_features(out)
    np.testing.assert_allclose(found.feats, reid.load(weight, "cpu").embed(found.paths), atol=1e-6)


def test_unreadable_images(weight: Path, folder: Path, tmp_path: Path, small_pieces: None) -> None:
    bad = [folder / "anna/2.png", folder / "ben/0.png", folder / "carl/4.png"]
    for file in bad:
        file.write_bytes(b"no picture")
    out = tmp_path / "feats.npz"
    refused = commands.run("embed", weight, folder, "-o", out, code=2)
    assert f"error: {bad[0]}: cannot be read" in refused.stderr
    assert "DATALOADER.ON_ERROR skip" in refused.stderr
    done = commands.run("embed", weight, folder, "-o", out, "DATALOADER.ON_ERROR", "skip")
    assert "3 of 15 images cannot be read and are left out" in done.stdout
    found = read_features(out)
    assert found.paths == [str(folder / n) for n in NAMES if folder / n not in bad]
    np.testing.assert_allclose(found.feats, reid.load(weight, "cpu").embed(found.paths), atol=1e-6)
    for file in folder.rglob("*.png"):
        file.write_bytes(b"no picture")
    more = ["-o", tmp_path / "b.npz", "DATALOADER.ON_ERROR", "skip"]
    none = commands.run("embed", weight, folder, *more, code=2)
    assert "none of the 15 images can be read" in none.stderr


def test_what_may_be_named(folder: Path, tmp_path: Path) -> None:
    anna = [str(folder / f"anna/{number}.png") for number in range(5)]
    rows = [["Path", "Camera", "time"], [anna[0], "hall", "5"], ["crops/anna/1.png", "", ""]]
    csv = table(tmp_path / "people.csv", rows, ";")
    text = tmp_path / "names.txt"
    text.write_text("crops/anna/2.png\n\ncrops/anna/0.png\n")
    found = list_images([str(csv), str(text), str(folder / "anna/[34].png")])
    assert found.paths == [anna[0], anna[1], anna[2], anna[3], anna[4]]
    assert found.cameras == ["hall", "", "", "", ""]
    assert found.times[0] == 5 and np.isnan(found.times[1:]).all()
    assert list_images([str(folder)]).identities == [name.split("/")[0] for name in NAMES]
    market = pictures(tmp_path / "market", ["0002_c3s1_000451_03.jpg", "-1_c1s1_000401_03.jpg"])
    assert list_images([str(market)]).identities == ["", "0002"]
    assert list_images([str(market)]).cameras == ["1", "3"]


def test_pieces_are_many_enough_to_share_and_large_enough() -> None:
    assert [piece_size(n) for n in (1, 10_000, 20_000, 10**6)] == [128, 128, 256, 2048]


def test_times() -> None:
    assert seconds_of("12.5") == 12.5
    assert seconds_of("1970-01-02T00:00:00") == 86400
    assert seconds_of("1970-01-01T01:00:00+01:00") == 0
    assert seconds_of("1970-01-01T00:01:00Z") == 60


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["empty"], "empty holds no image"),
        (["crops/*.tif"], "no image matches crops/*.tif"),
        (["bad.csv"], "no column path; did you mean 'path'?"),
        (["gone.txt"], "1 of 1 files do not exist"),
        (["short.csv"], "line 2: the cell of path is empty"),
        (["time.csv"], "line 2: 'noon' is no time"),
        (["TEST.FLIP", "True"], "name a folder, a list, a pattern or an image in front of"),
        (["crops", "TEST.FLIPP", "True"], "unknown key TEST.FLIPP; did you mean 'TEST.FLIP'"),
        (["crops", "TEST.FLIP"], "KEY VALUE pairs are expected, 'TEST.FLIP' has no partner"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    weight: Path, folder: Path, tmp_path: Path, sources: list[str], says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("paths,camera\na.png,1\n")
    (tmp_path / "gone.txt").write_text("gone.png\n")
    (tmp_path / "short.csv").write_text("identity,path\nanna\n")
    (tmp_path / "time.csv").write_text("path,time\ncrops/anna/0.png,noon\n")
    done = commands.run("embed", weight, *sources, "-o", "out.npz", code=2)
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.npz").exists()


def test_damaged_features_are_refused(weight: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "feats"
    commands.run("embed", weight, folder, "-o", out)
    shutil.copytree(out, tmp_path / "short")
    lines = (tmp_path / "short/paths.txt").read_text().splitlines()
    (tmp_path / "short/paths.txt").write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(InputError, match="is damaged: 14 paths"):
        read_features(tmp_path / "short")
    (out / "feats.npy").write_bytes((out / "feats.npy").read_bytes()[:200])
    with pytest.raises(InputError, match="is damaged"):
        read_features(out)
