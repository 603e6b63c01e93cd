"""``reid test`` with verification, ``reid verify``, and pairs under attack, on drawn people."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import lfm, run
from untrained import write_checkpoint

import reid
from reid.evaluation.features import Features
from reid.evaluation.files import load_features
from reid.evaluation.verification import thresholds, verification_rates
from reid.robustness import evaluator

pytestmark = pytest.mark.usefixtures("narrow_resnet18")


@pytest.fixture(scope="module", autouse=True)
def fewer() -> Iterator[None]:
    """The tiny people make 866 impostor pairs, 8 of which are 1 %: they are enough here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thresholds, "FEWEST", 8)
        yield


@pytest.fixture(scope="module")
def tested(fewer: None, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch that was tested with verification."""
    out = tmp_path_factory.mktemp("verified")
    run("train", *lfm(data, out, "SOLVER.MAX_EPOCHS", 1))
    switches = ("TEST.VERIFICATION", True, "TEST.SAVE_FEATURES", True)
    run("test", *lfm(data, out, "TEST.WEIGHT", out / "best.pth", *switches))
    return out


def pictures(data: Path) -> list[Path]:
    """Two images of the first person that is a query, and one of the last."""
    files = sorted(data.glob("*/query/*"))
    first = files[0].name.split("_")[0]
    mine = [file for file in sorted(data.glob("*/bounding_box_test/*")) if file.name[:4] == first]
    return [files[0], mine[0], files[-1]]


def test_a_test_writes_and_says_its_thresholds(tested: Path) -> None:
    record = json.loads((tested / "verification.json").read_text())
    assert record["dataset"] == "synthetic_preset-tiny" and record["protocol"] == "cross_camera"
    assert json.loads((tested / "best.verification.json").read_text()) == record
    log = (tested / "test.log").read_text()
    (point,) = record["thresholds"]
    assert f"same person above {point['threshold']:.4g}: " in log
    count = record["true_pairs"]
    assert f"this holds for synthetic_preset-tiny, cross_camera, cosine similarity: {count}" in log
    sides = load_features(tested / "features.npz", torch.device("cpu"))
    (rates,) = verification_rates(*sides, "cross_camera", [point["threshold"]])
    assert rates["false"] == point["false"] <= 0.01 and rates["found"] == point["found"]


def test_features_alone_are_enough(tested: Path, data: Path, tmp_path: Path) -> None:
    args = ("--features", tested / "features.npz", "TEST.VERIFICATION", True)
    said = run("test", *args, "OUTPUT_DIR", tmp_path).stdout
    record = json.loads((tmp_path / "verification.json").read_text())
    there = json.loads((tested / "verification.json").read_text())
    (one,), (other,) = record["thresholds"], there["thresholds"]
    assert one == pytest.approx(other, abs=1e-5)  # features are divided by their length again
    assert "fingerprint" not in record
    assert "this holds for saved features, cross_camera" in said
    # Another test in this folder, without verification, leaves no figures that are not its own.
    run("test", *args[:2], "OUTPUT_DIR", tmp_path)
    assert not (tmp_path / "verification.json").exists()


def test_verify_reads_the_threshold_of_the_test(tested: Path, data: Path) -> None:
    one, other, stranger = pictures(data)
    (point,) = json.loads((tested / "verification.json").read_text())["thresholds"]
    feats = reid.load(tested).embed([one, other, stranger])
    for image, feat in ((one, feats[0]), (other, feats[1]), (stranger, feats[2])):
        score = float(feats[0] @ feat)
        same = score > point["threshold"]
        said = run("verify", one, image, "--weight", tested, code=0 if same else 1).stdout
        answer = "the same person" if same else "two people"
        assert said.startswith(f"score {score:.4f}: {answer} (threshold {point['threshold']:.4g})")
        assert "probability of one person" in said and "this holds for synthetic" in said
    said = run("verify", one, stranger, "--weight", tested, "--threshold", -1).stdout
    assert said.endswith("the same person (threshold -1)\n"), "nothing is known of a typed one"


def test_a_threshold_of_another_model_is_refused(tested: Path, data: Path, tmp_path: Path) -> None:
    one, other, _ = pictures(data)
    weight = write_checkpoint(tmp_path / "best.pth", data, seed=1)
    args = ("verify", one, other, "--weight", weight)
    assert "best.verification.json does not exist" in run(*args, code=2).stderr
    shutil.copy(tested / "best.verification.json", tmp_path)
    assert "is of another model" in run(*args, code=2).stderr
    again = ("verify", one, other, "--weight", tested, "--set", "TEST.FLIP", True)
    assert "other settings" in run(*again, code=2).stderr


def test_what_cannot_be_answered_is_one_line(tested: Path, data: Path, tmp_path: Path) -> None:
    one, other, _ = pictures(data)
    args = ("verify", one, other, "--weight", tested)
    assert "Known: 0.01" in run(*args, "--rate", "1e-4", code=2).stderr
    assert "in [-1, 1]" in run(*args, "--threshold", 2, code=2).stderr
    assert "neither" in run(*args, "--threshold", 0.5, "--rate", 0.01, code=2).stderr
    (tmp_path / "no.jpg").write_text("no picture")
    wrong = run("verify", one, tmp_path / "no.jpg", "--weight", tested, code=2).stderr
    assert "no.jpg" in wrong and wrong.count("\n") == 1
    record = json.loads((tested / "verification.json").read_text())
    few = tmp_path / "few.json"
    few.write_text(json.dumps({**record, "thresholds": []}))
    assert "has no threshold" in run(*args, "--figures", few, code=2).stderr
    few.write_text("[]")
    assert "few.json" in run(*args, "--figures", few, code=2).stderr


def test_pairs_under_attack_and_the_page(
    tested: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []

    def count(query: Features, gallery: Features, *more: Any) -> list[dict[str, float]]:
        counted.append((query.feats, gallery.feats, verification_rates(query, gallery, *more)))
        return counted[-1][2]

    monkeypatch.setattr(evaluator, "verification_rates", count)
    attack = ("TEST.VERIFICATION", True, "ATTACK.NAMES", "[fgsm-fna]", "ATTACK.EPS_255", "[8]")
    args = lfm(data, tested, "TEST.WEIGHT", tested / "best.pth", *attack)
    said = run("attack", *args).stdout
    assert "pairs at the thresholds of clean images" in said
    rows = json.loads((tested / "attack/robustness.json").read_text())["rows"]
    clean, attacked = rows[0], next(row for row in rows if row["kind"] == "attack")
    record = json.loads((tested / "verification.json").read_text())
    (point,) = record["thresholds"]
    assert clean["threshold_at_0.01"] == pytest.approx(point["threshold"], abs=1e-5)
    assert clean["passed_at_0.01"] == point["accepted"]
    assert attacked["threshold_at_0.01"] == clean["threshold_at_0.01"]
    (before, gallery, _), (after, same, (rates,)) = counted  # the attacked queries were counted
    assert torch.equal(gallery, same) and not torch.allclose(before, after, atol=1e-3)
    for key, value in rates.items():
        assert attacked[f"{key}_at_0.01"] == value
    share = 1 - attacked["lost_at_0.01"] / record["true_pairs"]
    assert attacked["found_at_0.01"] == pytest.approx(share)
    page = tmp_path / "page.html"
    run("report", tested, "-o", page)
    text = page.read_text()
    assert text.count(f"same person above {point['threshold']:.4g}") == 2
    assert "<h2>The same person?</h2>" in text and "Pairs at the thresholds" in text
    assert "ROC of" in text and "Average precision by cameras" in text
    (tested / "verification.json").write_text("{}")
    assert "verification.json" in run("report", tested, "-o", page, code=2).stderr
