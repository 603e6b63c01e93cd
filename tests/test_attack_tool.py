"""tools/attack.py as a user runs it, on a model trained for seconds."""

import csv
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from commands import HELD, NARROW, ROOT, run, spawn, stop
from PIL import Image

from reid.builders.attack import build_attacks
from reid.config import load_cfg
from reid.robustness.objectives.stages import Stages
from reid.utils.errors import InputError

SIZE = [
    "DATASETS.SYNTHETIC.PRESET", "tiny",
    "MODEL.BACKBONE.NAME", "resnet18",
    "INPUT.SIZE_TRAIN", "(64,32)",
    "INPUT.SIZE_TEST", "(64,32)",
    "DATALOADER.NUM_WORKERS", "0",
]  # fmt: skip
FEW = [
    "ATTACK.STEP_CURVE",
    "()",
    "ATTACK.NUM_QUERIES",
    "12",
    "ATTACK.EPS_255",
    "(1,16)",
    "ATTACK.PGD.STEPS",
    "4",
]
pytestmark = [pytest.mark.early, pytest.mark.usefixtures("narrow_resnet18")]


@pytest.fixture(scope="module")
def setup(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    root = tmp_path_factory.mktemp("attack")
    config = ROOT / "configs/synthetic_lfm.yml"
    base: list[object] = ["--config-file", config, *SIZE, "DATASETS.ROOT_DIR", data]
    train = ["SOLVER.MAX_EPOCHS", 6, "SOLVER.IMS_PER_BATCH", 32, "SOLVER.PRECISION", "fp32"]
    run("train", *base, *train, "SOLVER.EVAL_PERIOD", 0, "OUTPUT_DIR", root / "run")
    return root, [*base, "TEST.WEIGHT", root / "run" / "last.pth"]


@pytest.fixture(scope="module")
def attacked(setup: tuple[Path, list[object]]) -> Path:
    root, base = setup
    names = "('noise','fgsm-fna','pgd-fna')"
    more = ["ATTACK.NAMES", names, "ATTACK.SAVE_IMAGES", 5, "TEST.RE_RANKING", True]
    curve = [
        "ATTACK.STEP_CURVE",
        "(1,8)",
        "ATTACK.CORRUPTIONS",
        "jpeg",
        "ATTACK.SEVERITIES",
        "(5,)",
    ]
    spawn("attack", *base, *NARROW, *FEW, *more, *curve, "OUTPUT_DIR", root / "a")
    return root / "a" / "attack"


def rows(folder: Path) -> list[dict]:
    found: list[dict] = json.loads((folder / "robustness.json").read_text())["rows"]
    return found


def plain(folder: Path) -> list[dict]:
    return [r for r in rows(folder) if r["ranking"] == "plain" and r["kind"] != "steps"]


def test_the_report_holds_every_attack_budget_and_ranking(attacked: Path) -> None:
    found = rows(attacked)
    keys = [(r["name"], r["level"], r["ranking"]) for r in found if r["kind"] != "steps"]
    expected = [
        (name, eps, ranking)
        for name in ("noise", "fgsm-fna", "pgd-fna", "worst case")
        for eps in (1.0, 16.0)
        for ranking in ("plain", "re-ranked")
    ]
    both = [("clean", 0.0), ("jpeg", 5.0)]
    expected += [(name, level, r) for name, level in both for r in ("plain", "re-ranked")]
    assert sorted(keys) == sorted(expected)
    with (attacked / "robustness.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(found)
    steps = [(r["name"], r["level"], r["steps"]) for r in found if r["kind"] == "steps"]
    assert steps == [("pgd-fna", 16.0, 1), ("pgd-fna", 16.0, 8)]
    assert [line["steps"] for line in lines if line["kind"] == "steps"] == ["1", "8"]


def test_the_clean_row_is_what_the_test_tool_says(setup, attacked: Path, tmp_path) -> None:
    _root, base = setup
    run("attack", *base, "ATTACK.NAMES", "noise", "ATTACK.EPS_255", 0, "OUTPUT_DIR", tmp_path)
    run("test", *base, "OUTPUT_DIR", tmp_path)
    tested = json.loads((tmp_path / "metrics.json").read_text())
    report = json.loads((tmp_path / "attack" / "robustness.json").read_text())
    assert report["environment"] == tested["environment"]
    found = rows(tmp_path / "attack")
    for row in found:  # and a budget of 0 is clean
        for key in ("mAP", "mINP", "rank1", "rank5"):
            assert row[key] == tested[key]


def test_attacks_hurt_more_with_more_budget_and_the_worst_case_most(attacked: Path) -> None:
    value = {(r["name"], r["level"]): r["mAP"] for r in plain(attacked)}
    assert value["pgd-fna", 16] < value["pgd-fna", 1] < value["clean", 0]
    for eps in (1.0, 16.0):
        assert value["worst case", eps] <= min(v for (_, e), v in value.items() if e == eps)
    change = {(r["name"], r["level"]): r.get("change") for r in plain(attacked)}
    assert 15.999 < change["fgsm-fna", 16] <= 16.0001


def test_saved_images_are_the_queries_within_the_budget(data: Path, attacked: Path) -> None:
    folder = attacked / "images" / "pgd-fna_eps1"
    files = sorted(folder.iterdir())
    assert len(files) == 5
    queries = {p.stem: p for p in data.rglob("query/*.jpg")}
    for file in files:
        with Image.open(queries[file.stem]) as source, Image.open(file) as image:
            clean = source.convert("RGB").resize((32, 64), Image.Resampling.BILINEAR)
            change = np.asarray(image).astype(int) - np.asarray(clean)
        assert 0 < np.abs(change).max() <= 1
    with Image.open(attacked / "images" / "pgd-fna_eps1.png") as sheet:
        assert sheet.width > 13 * 32
    with Image.open(attacked / "curves.png") as curves:
        assert curves.format == "PNG"


def without_seconds(folder: Path) -> dict:
    report: dict = json.loads((folder / "robustness.json").read_text())
    for row in report["rows"]:
        row.pop("seconds", None)
    return {**report, "config": ""}  # which names the folder


def test_a_run_that_is_killed_again_and_again_goes_on(setup, tmp_path) -> None:
    """Signals at two points of one run; the report is that of a run left alone."""
    _, base = setup
    names = "('universal-margin','pgd-margin+smooth_ap')"
    more = ["ATTACK.NAMES", names, "ATTACK.SAVE_IMAGES", 3, "ATTACK.PGD.RESTARTS", 2]
    more += ["ATTACK.UNIVERSAL.STEPS", 2]
    more += ["ATTACK.CORRUPTIONS", "jpeg", "ATTACK.SEVERITIES", "(1,3)"]
    args = [*base, *FEW, *more, "ATTACK.STEP_CURVE", "(8,)", *HELD]
    whole, killed = tmp_path / "whole" / "attack", tmp_path / "killed" / "attack"
    finished = 0
    points = (
        # Images of the second attack are saved, and its results are not.
        (signal.SIGKILL, "reid.robustness.pictures:ImageSaver.finish:2", 2),
        # Inside the fourth attack, the third one of this start.
        (signal.SIGINT, "reid.robustness.evaluator:RobustEvaluator.perturbed:3", 4),
    )
    for signum, at, pieces in points:
        out = ["OUTPUT_DIR", killed.parent]
        done = stop("attack", *args, *out, at=at, signum=signum, mark=tmp_path / "mark")
        assert done.returncode != 0
        finished = len(list(killed.glob("partial/*/*.npz")))
        assert finished == pieces, done.stdout
    assert not (killed / "robustness.json").exists()
    text = run("attack", *args, "OUTPUT_DIR", killed.parent).stdout
    assert f"{finished - 1} of 8 attacks are done, in {killed}/partial/" in text
    run("attack", *args, "OUTPUT_DIR", whole.parent)
    assert without_seconds(killed) == without_seconds(whole)
    one, other = (np.load(folder / "per_query.npz") for folder in (killed, whole))
    assert one.files == other.files
    assert all(np.array_equal(one[key], other[key]) for key in one.files)
    images = [sorted((folder / "images").rglob("*.png")) for folder in (killed, whole)]
    assert len(images[0]) == 4 * (3 + 1)
    for a, b in zip(*images, strict=True):
        assert a.relative_to(killed) == b.relative_to(whole) and a.read_bytes() == b.read_bytes()
    assert sorted(p.name for p in killed.iterdir()) == sorted(p.name for p in whole.iterdir())


def test_images_of_one_name_are_all_saved_and_test_as_they_were_attacked(
    data: Path, setup, tmp_path
) -> None:
    _, base = setup
    query = tmp_path / "data" / "market1501" / "query"
    shutil.copytree(data / "synthetic-tiny-seed0-wide", query.parent)
    first, *_, last = sorted(query.glob("*.jpg"))
    with Image.open(first) as image:  # beside first.jpg
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(first.with_suffix(".png"))
    (query / "more").mkdir()
    shutil.copy(last, query / "more" / last.name)
    count = len(list(query.rglob("*.*g")))
    market = ["DATASETS.NAMES", "[market1501]", "DATASETS.ROOT_DIR", tmp_path / "data"]
    attack = ["ATTACK.NAMES", "fgsm-fna", "ATTACK.EPS_255", 8, "ATTACK.NUM_QUERIES", 0]
    attack += ["ATTACK.SAVE_IMAGES", -1, "ATTACK.STEP_CURVE", "()"]
    run("attack", *base, *market, *attack, "OUTPUT_DIR", tmp_path)
    saved = tmp_path / "attack" / "images" / "fgsm-fna_eps8"
    assert len(list(saved.iterdir())) == count
    for source, ends in ((first, (".jpg", ".png")), (last, (".jpg_1", ".jpg_2"))):
        alike = sorted(p.name for p in saved.glob(f"{source.stem}*"))
        assert alike == [f"{source.stem}{end}.png" for end in ends]
    shutil.rmtree(query)
    shutil.copytree(saved, query)
    run("test", *base, *market, "OUTPUT_DIR", tmp_path)
    tested = json.loads((tmp_path / "metrics.json").read_text())
    (row,) = [r for r in rows(tmp_path / "attack") if r["kind"] == "attack"]
    for key in ("mAP", "mINP", "rank1", "rank5"):
        assert row[key] == tested[key]


def test_transfer_and_gallery_and_sanity(data: Path, setup, tmp_path) -> None:
    root, base = setup
    last = root / "run" / "last.pth"
    side = ["ATTACK.SIDE", "gallery", "ATTACK.NAMES", "fgsm-fna", "ATTACK.EPS_255", 8]
    side += ["ATTACK.SAVE_IMAGES", 4]
    run("attack", *base, *side, "OUTPUT_DIR", tmp_path / "g")
    found = {r["name"]: r["mAP"] for r in rows(tmp_path / "g" / "attack")}
    assert found["fgsm-fna"] < found["clean"]
    saved = sorted((tmp_path / "g" / "attack" / "images" / "fgsm-fna_eps8").iterdir())
    asked = {path.name[:4] for path in data.rglob("query/*.jpg")}
    assert len(saved) == 4 and {path.name[:4] for path in saved} <= asked
    few = [*FEW, "ATTACK.SANITY_QUERIES", 6, "ATTACK.SQUARE.QUERIES", 20]
    both = "('pgd-fna','mi_fgsm-lta')"  # the checks take the last whose values can be compared
    names = ["ATTACK.NAMES", both, "OUTPUT_DIR", tmp_path / "t"]
    run("attack", *base, *few, *names, "--surrogate-weight", last, "--sanity")
    text = (tmp_path / "t" / "attack" / "attack.log").read_text()
    report = json.loads((tmp_path / "t" / "attack" / "robustness.json").read_text())
    assert report["surrogate"] == str(last)
    assert len(report["sanity"]["checks"]) == 14
    assert report["sanity"]["verdict"] in text
    run("attack", *base, *FEW, "ATTACK.NAMES", both, "OUTPUT_DIR", tmp_path / "w")
    black, white = ([r["mAP"] for r in rows(tmp_path / x / "attack")] for x in "tw")
    assert black == white, "a model that is its own surrogate is a white box"


def test_arrays_and_another_pixel_size(setup, tmp_path) -> None:
    _, base = setup
    more = ["ATTACK.NAMES", "fgsm-metric", "ATTACK.SIZE", "(96,48)", "ATTACK.SAVE_AS", "npz"]
    more += ["ATTACK.SANITY", True, "ATTACK.SANITY_CHECKS", "['repeats']"]
    run("attack", *base, *FEW, *more, "ATTACK.SAVE_IMAGES", -1, "OUTPUT_DIR", tmp_path)
    arrays = np.load(tmp_path / "attack" / "images" / "fgsm-metric_eps1" / "images.npz")
    assert arrays["images"].shape == (12, 3, 96, 48) and len(arrays["names"]) == 12
    report = json.loads((tmp_path / "attack" / "robustness.json").read_text())
    assert [check["passed"] for check in report["sanity"]["checks"]] == [True, True]


def test_defences_are_compared(setup, attacked: Path, tmp_path) -> None:
    done = run("compare_attacks", f"a={attacked}", f"b={attacked.parent}")
    clean = next(r["mAP"] for r in rows(attacked) if r["name"] == "clean")
    line = next(line for line in done.stdout.splitlines() if line.startswith("clean "))
    assert line.split()[1:7] == ["a", "−", "b", *[f"{100 * clean:.1f}"] * 2, "+0.0"]
    assert "pgd-fna 16, re-ranked" in done.stdout and "jpeg, re-ranked" in done.stdout
    assert "a and b are of one recipe" in done.stderr


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["ATTACK.NAMES", "pdg-fna"], "did you mean 'pgd-fna'"),
        (["ATTACK.NAMES", "pgd-margin+smothap"], r"objective of attack 'pgd-margin\+smothap'"),
        (["ATTACK.NAMES", "fgsm-margin+smooth_ap"], r"joined by \+ are for bim, pgd, universal"),
        (["ATTACK.NAMES", "universal-sma"], "zero at the clean image"),
        (["ATTACK.SANITY_CHECKS", "rankings"], "did you mean 'ranking'"),
        (["ATTACK.CHOOSE_BY", "rank"], "ATTACK.CHOOSE_BY"),
        (["ATTACK.EOT", "0"], "ATTACK.EOT"),
        (["ATTACK.NAMES", "fgsm-sma"], "random start"),
        (["ATTACK.NAMES", "('noise','noise')"], "names noise twice"),
        (["ATTACK.NAMES", "()"], "nothing to do"),
        (["ATTACK.EPS_255", "300"], r"ATTACK\.EPS_255 must be"),
        (["ATTACK.CORRUPTIONS", "jpg"], "did you mean 'jpeg'"),
        (["ATTACK.PGD.STEPS", "-1"], r"ATTACK\.PGD\.STEPS must be at least 0 and at most"),
        (["ATTACK.EPS_255", "0.5"], r"ON_GRID False"),
        (["ATTACK.EPS_255", "(8,8.0000001)"], r"8\.0 and 8\.0000001 are one budget"),
        (["ATTACK.ON_GRID", "False", "ATTACK.SAVE_IMAGES", "1"], r"ATTACK\.SAVE_IMAGES"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_loaded(more: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        build_attacks(load_cfg(None, more))


def test_the_config_says_how_an_attack_searches() -> None:
    more = ["ATTACK.CHOOSE_BY", "ap", "ATTACK.EARLY_STOP", "False", "ATTACK.EOT", "3"]
    name = ["ATTACK.NAMES", "pgd-margin+smooth_ap", "ATTACK.MARGIN.TEMPERATURE", "0.1"]
    made, *_ = build_attacks(load_cfg(None, [*more, *name]))
    assert (made.choose_by, made.early_stop, made.draws) == ("ap", False, 3)
    assert isinstance(made.objective, Stages)
    assert [one.temperature for one in made.objective.objectives] == [0.1, 0.02]
    plain, *_ = build_attacks(load_cfg(None, ["ATTACK.NAMES", "pgd-margin"]))
    assert (plain.choose_by, plain.early_stop, plain.draws) == ("auto", True, 1)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["TEST.WEIGHT", "nowhere.pth"], "nowhere.pth"),
        (["ATTACK.SIZE", "(64,0)"], "ATTACK.SIZE"),
        (["--surrogate-config", "x.yml"], "--surrogate-weight"),
    ],
)
def test_bad_input_gets_one_line(setup, tmp_path, more: list[str], says: str) -> None:
    _, base = setup
    text = run("attack", *base, "OUTPUT_DIR", tmp_path, *more, code=2).stderr
    assert says in text and text.count("error: ") == 1
