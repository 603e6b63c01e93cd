"""``reid index``: from a folder of images to an answered search with a picture."""

import json
import os
import re
import shlex
from pathlib import Path

import commands
import numpy as np
import pytest
from crops import picture, pictures, table
from killed import killed
from PIL import Image
from untrained import write_checkpoint

import reid
from reid.data.datasets import DATASETS
from reid.evaluation import re_ranking
from reid.jobs import index as job
from reid.search import LocalIndex
from reid.search.manifest import read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("narrow_resnet18")
NAMES = [f"{who}/{number}.png" for who in ("anna", "ben", "carl", "dora") for number in range(6)]


@pytest.fixture(scope="module")
def weight(data: Path, narrow_resnet18: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "best.pth", data)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("own") / "crops", NAMES)


@pytest.fixture(scope="module")
def feats(weight: Path, crops: Path) -> np.ndarray:
    return reid.load(weight, "cpu").embed([crops / name for name in NAMES])


@pytest.fixture
def people(weight: Path, crops: Path, tmp_path: Path) -> Path:
    """An index of the crops."""
    done = commands.run("index", "build", tmp_path / "people", crops, "--weight", weight)
    assert "24 images added; the index has 24" in done.stdout
    return tmp_path / "people"


def found(folder: Path, *args: object) -> list[list[dict[str, object]]]:
    """The hits of each query, as the command writes them."""
    file = folder.parent / "hits.json"
    commands.run("index", "search", folder, *args, "-o", file)
    return [one["hits"] for one in json.loads(file.read_text())]


def test_hits_are_the_nearest_other_images(people: Path, crops: Path, feats: np.ndarray) -> None:
    names = [crops / NAMES[0], crops / NAMES[13]]
    for number, hits in zip((0, 13), found(people, *names, "-k", 5), strict=True):
        distance = np.linalg.norm(feats.astype(np.float64) - feats[number], axis=1)
        order = [i for i in np.argsort(distance) if i != number][:5]
        assert [hit["path"] for hit in hits] == [str(crops / NAMES[i]) for i in order]
        assert [hit["identity"] for hit in hits] == [NAMES[i].split("/")[0] for i in order]
        np.testing.assert_allclose([h["distance"] for h in hits], distance[order], atol=1e-5)
    itself = found(people, names[0], "-k", 1, "--keep-itself")[0][0]
    assert itself["path"] == str(names[0]) and float(itself["distance"]) < 1e-5  # type: ignore[arg-type]


def test_the_first_places_are_re_ranked(people: Path, crops: Path, feats: np.ndarray) -> None:
    plain = found(people, crops / NAMES[3], "-k", 12)[0]
    again = found(people, crops / NAMES[3], "-k", 4, "--re-rank", 12)[0]
    rows = [NAMES.index(str(Path(str(h["path"])).relative_to(crops))) for h in plain]
    expected = re_ranking(feats[3][None], feats[rows], 12, 6)[0]
    order = np.argsort(expected, kind="stable")[:4]
    assert [hit["path"] for hit in again] == [plain[i]["path"] for i in order]
    np.testing.assert_allclose([h["distance"] for h in again], expected[order], atol=1e-4)


def test_cameras_and_times(weight: Path, crops: Path, tmp_path: Path) -> None:
    rows = [
        [str(crops / name), name[0], "hall" if i % 2 else "gate", f"2026-11-30T{i:02}:00"]
        for i, name in enumerate(NAMES)
    ]
    csv = table(tmp_path / "list.csv", [["path", "identity", "camera", "time"], *rows])
    index = tmp_path / "people"
    commands.run("index", "build", index, csv, "--weight", weight)
    query = crops / NAMES[0]
    assert {hit["camera"] for hit in found(index, query, "--camera", "hall")[0]} == {"hall"}
    assert {hit["camera"] for hit in found(index, query, "--without-camera", "hall")[0]} == {"gate"}
    one = table(tmp_path / "q.csv", [["path", "camera"], [str(query), "hall"]])
    assert {hit["camera"] for hit in found(index, one, "--other-cameras")[0]} == {"gate"}
    hours = ["--since", "2026-11-30T05:00", "--until", "2026-11-30T07:00"]
    assert {hit["path"] for hit in found(index, query, *hours)[0]} == {
        str(crops / name) for name in NAMES[5:8]
    }
    done = commands.run("index", "search", index, query, "--camera", "nowhere")
    assert "nothing was found" in done.stdout
    refused = commands.run("index", "search", index, query, "--other-cameras", code=2)
    assert f"the camera of {query} is unknown" in refused.stderr


def test_a_picture_of_the_hits(people: Path, crops: Path, tmp_path: Path) -> None:
    out = tmp_path / "hits.png"
    commands.run("index", "search", people, crops / "anna", "-k", 4, "-o", out)
    with Image.open(out) as sheet:
        assert sheet.width > 5 * 64 and sheet.height > 6 * 128


def test_add_and_remove(people: Path, crops: Path, tmp_path: Path) -> None:
    more = pictures(tmp_path / "more", ["emil/0.png", "emil/1.png"])
    done = commands.run("index", "add", people, more, crops)
    assert "2 images added, 24 were there; the index has 26" in done.stdout
    (more / "emil/0.png").unlink()
    commands.run("index", "remove", people, more / "emil/0.png", crops / "ben")
    assert sorted(LocalIndex(people).paths()) == sorted(
        [str(more / "emil/1.png"), *(str(crops / n) for n in NAMES if "ben" not in n)]
    )
    commands.run("index", "remove", people, "--identity", "carl", crops / "anna/*.png")
    assert len(LocalIndex(people)) == 7
    assert "rows         7" in commands.run("index", "info", people, "--check").stdout
    refused = commands.run("index", "remove", people, crops / "ben", code=2)
    assert "has no image" in refused.stderr


def test_features_in_a_file_make_the_same_index(
    weight: Path, crops: Path, people: Path, tmp_path: Path
) -> None:
    commands.run("embed", weight, crops, "-o", tmp_path / "f.npz")
    again = tmp_path / "again"
    commands.run("index", "build", again, "--features", tmp_path / "f.npz")
    for index in (people, again):
        commands.run("index", "search", index, "--features", tmp_path / "f.npz", "-k", 3)
    one = found(people, crops / NAMES[2], "-k", 3)
    same = found(again, crops / NAMES[2], "-k", 3, "--weight", weight)
    assert [h["path"] for h in one[0]] == [h["path"] for h in same[0]]
    refused = commands.run("index", "search", again, crops / NAMES[2], code=2)
    assert "name the model by --weight FILE" in refused.stderr


def test_an_index_of_another_model_is_refused(
    people: Path, crops: Path, data: Path, tmp_path: Path
) -> None:
    other = write_checkpoint(tmp_path / "other.pth", data, seed=1)
    for action in ("search", "add"):
        done = commands.run("index", action, people, crops, "--weight", other, code=2)
        assert f"was built with another model than {other}" in done.stderr
    flipped = commands.run("index", "search", people, crops, "TEST.FLIP", "True", code=2)
    assert "was built with another model" in flipped.stderr
    commands.run("embed", other, crops, "-o", tmp_path / "f.npz")
    done = commands.run("index", "add", people, "--features", tmp_path / "f.npz", code=2)
    assert "was built with another model" in done.stderr


def test_a_killed_add_goes_on(
    people: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weight: Path
) -> None:
    more = pictures(tmp_path / "more", [f"x/{number}.png" for number in range(12)])
    model = reid.load(weight, "cpu")
    monkeypatch.setattr(job, "load_extractor", lambda *_: model)
    monkeypatch.setattr(job, "COMMIT", 4)
    model.batch_size = 4
    kept = 24
    step = 1
    content = job.Content([str(more)])
    while killed(lambda: job.add_to_index(str(people), content), step):
        rows = len(LocalIndex(people))
        assert rows >= kept and (rows - 24) % 4 == 0
        kept = rows
        step += 3
    index = LocalIndex(people)
    assert len(index) == 36
    index.check()
    paths = [str(more / f"x/{number}.png") for number in range(12)]
    np.testing.assert_allclose(index.feats_of(paths), model.embed(paths), atol=1e-6)


def test_unreadable_images_in_an_index(people: Path, tmp_path: Path) -> None:
    more = pictures(tmp_path / "more", ["x/0.png", "x/1.png", "x/2.png"])
    (more / "x/1.png").write_bytes(b"no picture")
    refused = commands.run("index", "add", people, more, code=2)
    assert "1.png: cannot be read" in refused.stderr and "ON_ERROR skip" in refused.stderr
    # What was embedded before the refusal, and beside the bad one, is in the index.
    assert "2 images are kept" in refused.stderr and refused.stderr.count("\n") == 1
    assert len(LocalIndex(people)) == 26
    picture(more / "x/3.png", 7)
    done = commands.run("index", "add", people, more, "DATALOADER.ON_ERROR", "skip")
    assert "1 of 4 images cannot be read and are left out" in done.stdout
    assert "1 images added, 2 were there; the index has 27" in done.stdout


def test_an_index_runs_no_code_that_it_names(
    weight: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IMPORTS are not kept, and what an index of somebody else says of them is passed over."""
    monkeypatch.chdir(tmp_path)
    trace = "from pathlib import Path\nwith Path('trace').open('a') as f: f.write('x')\n"
    (tmp_path / "own.py").write_text(trace)
    (tmp_path / "strange.py").write_text(trace)
    index = tmp_path / "index"
    settings = ["IMPORTS", "./own.py", "TEST.FLIP", "True"]
    commands.run("index", "build", index, crops / "anna", "--weight", weight, *settings)
    assert (tmp_path / "trace").read_text()
    (tmp_path / "trace").unlink()
    manifest = read_manifest(index)
    assert manifest["overrides"] == ["TEST.FLIP", "True"]
    write_manifest(
        index, {**manifest, "overrides": ["IMPORTS", "./strange.py", "TEST.FLIP", "True"]}
    )
    assert len(found(index, crops / "ben/0.png")[0]) == 6
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["search", "people", "crops", "-k", 25], "-k must be in 1..24, the number of images"),
        (["search", "people", "crops", "-k", 0], "-k must be in 1..24"),
        (["search", "people", "empty"], "empty holds no image"),
        (["search", "people"], "name the images: a folder, a list"),
        (["search", "nowhere", "crops"], "nowhere holds no index"),
        (["search", "people", "crops", "-o", "hits.gif"], "must end in .png or .json"),
        (["search", "people", "crops", "--since", "noon"], "--since: 'noon' is no time"),
        (["search", "people", "crops", "-k", 5, "--re-rank", 3], "must be at least -k 5"),
        (["build", "people", "crops", "--weight", "W"], "people holds an index"),
        (["build", "new", "crops"], "name the checkpoint that embeds the images: --weight"),
        (["build", "new", "empty", "--weight", "W"], "empty holds no image"),
        (["add", "people", "crops", "--features", "f.npz"], "not both"),
        (["remove", "people"], "name what to remove"),
        (["remove", "people", "--identity", "zoe"], "has no image of zoe"),
        (["find", "people"], "unknown action of reid index 'find'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    people: Path, crops: Path, weight: Path, tmp_path: Path, args: list[object], says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    words = {"crops": crops, "W": weight}
    done = commands.run("index", *(words.get(str(arg), arg) for arg in args), code=2)
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_one_image(weight: Path, tmp_path: Path) -> None:
    file = picture(tmp_path / "one.png", 5, (31, 17))
    index = tmp_path / "index"
    commands.run("index", "build", index, file, "--weight", weight)
    assert found(index, file) == [[]]
    assert [hit["path"] for hit in found(index, file, "--keep-itself", "--re-rank")[0]] == [
        str(file)
    ]
    commands.run("index", "remove", index, file)
    assert "is empty" in commands.run("index", "search", index, file, code=2).stderr
    commands.run("index", "add", index, file)
    assert len(LocalIndex(index)) == 1


def answered(crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types the commands of the first page in the folder of ``crops`` and ``new_crops``."""
    text = (commands.ROOT / "docs/start_crops.md").read_text()
    blocks = [text.split(head)[1].split("```bash")[1].split("```")[0]
              for head in ("## 3. Train", "## 5. Ask")]  # fmt: skip
    lines = [shlex.split(line, comments=True) for line in "".join(blocks).splitlines()]
    typed = [line for line in lines if line]
    assert len(typed) == 5 and all(line[0] == "reid" for line in typed)
    monkeypatch.chdir(crops.parent)
    quick = [*commands.TINY, "SOLVER.MAX_EPOCHS", "1", "MODEL.PRETRAIN_CHOICE", "none"]
    for line in typed:
        commands.run(*line[1:], *(quick if line[1] == "train" else []))
    with Image.open("hits.png") as sheet:
        assert sheet.width > 64 * 11


def test_the_commands_of_the_first_page(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder of drawn people to an answered search with a picture."""
    for file in sorted(data.rglob("*.jpg")):
        who = re.match(r"-?\d+", file.name)
        assert who
        if who[0] != "-1":
            number = len(list((tmp_path / "crops" / who[0]).glob("*")))
            target = tmp_path / "crops" / who[0] / f"{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    first = sorted((tmp_path / "crops").iterdir())[0]
    first.rename(tmp_path / "crops/anna")
    pictures(tmp_path / "new_crops", ["1.jpg", "2.jpg"])
    answered(tmp_path / "crops", monkeypatch)


REAL = [
    pytest.param(
        name,
        variable,
        marks=pytest.mark.skipif(variable not in os.environ, reason=f"{variable} names no copy"),
    )
    for name, variable in (("viper", "REID_VIPER"), ("prid2011", "REID_PRID"))
]


@pytest.mark.data
@pytest.mark.parametrize(("name", "variable"), REAL)
def test_the_commands_of_the_first_page_on_real_people(
    name: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REID_VIPER and REID_PRID are a ROOT_DIR each; to the end: verify, and an exported file."""
    splits = DATASETS[name](Path(os.environ[variable]), train=True, split=0)
    people = sorted({record.pid for record in splits.train})[:100]
    home = tmp_path / "home"
    for record in splits.train:
        if record.pid in people:
            who = "anna" if record.pid == people[0] else f"{record.pid:04}"
            target = home / "crops" / who / f"{record.camid}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.open(record.path).convert("RGB").save(target, quality=95)
    for number, record in enumerate(splits.gallery[:2], 1):
        target = home / "new_crops" / f"{number}.jpg"
        target.parent.mkdir(exist_ok=True)
        Image.open(record.path).convert("RGB").save(target, quality=95)
    answered(home / "crops", monkeypatch)
    hits = found(Path("people"), "crops/anna/0.jpg", "-k", 202, "--keep-itself")[0]
    assert len({hit["path"] for hit in hits}) == 202  # 100 people twice, and two that were added
    assert hits[0]["path"] == str(home / "crops/anna/0.jpg")
    weight = "outputs/mine/best.pth"
    done = commands.run("test", "TEST.WEIGHT", weight, "TEST.VERIFICATION", "True")
    assert "same person above" in done.stdout and "this holds for folder" in done.stdout
    same = commands.run(
        "verify", "crops/anna/0.jpg", "crops/anna/0.jpg", "--weight", weight, "--rate", "1e-2"
    )
    assert same.stdout.startswith("score 1.0000: the same person")
    done = commands.run("export", weight, "--to", "torch", "-o", "mine.pt2", "--no-time")
    assert "real images" in done.stdout
    table = re.findall(r"^(\S.*?)  +(\d+\.\d\d) +(\d+\.\d\d) +-?\d", done.stdout, re.MULTILINE)
    rates = {form: (float(mean), float(rank1)) for form, mean, rank1 in table}
    assert rates["torch.export fp32"] == pytest.approx(rates["eager fp32"], abs=0.02)
