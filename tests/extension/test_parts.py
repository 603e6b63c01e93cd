"""Parts from outside the package, each one file, in the real commands and the contract tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import commands
import outside
import pytest
import torch
import torchvision
import yaml

pytestmark = pytest.mark.early
ROOT = Path(__file__).parents[2]
PARTS = sorted((Path(__file__).parent / "parts").glob("*.py"))
CONFIG = {
    "_BASE_": str(ROOT / "configs/synthetic_baseline.yml"),
    "MODEL": {
        "BACKBONE": {"NAME": "mobilenet_v2", "MOBILENET_V2": {"WIDTH": 0.5}},
        "POOLING": {"NAME": "rms", "RMS": {"EPS": 1e-5}},
        "REGULARIZER": {"NAME": "batch_drop_block", "STAGES": ["layer4"]},
        "PRETRAIN_CHOICE": "path",
    },
    "INPUT": {
        "SIZE_TRAIN": [64, 32],
        "SIZE_TEST": [64, 32],
        "TRANSFORMS": ["flip", "padding", "solarize", "erasing"],
        "SOLARIZE_PROB": 0.7,
    },
    "DATASETS": {"NAMES": "id_folders", "ID_FOLDERS": {"FOLDER": "crowd"}},
    "DATALOADER": {"SAMPLER": "camera_pk", "CAMERA_PK": {"BATCHES": 3}},
    "SOLVER": {
        "IMS_PER_BATCH": 16,
        "MAX_EPOCHS": 2,
        "EVAL_PERIOD": 0,
        "LOSS_LR_FACTOR": 10.0,
        "SCHEDULE": "multistep",
    },
    "LOSS": {"NAMES": ["lifted", "proxy_nca"], "WEIGHTS": [0.1, 1.0], "PROXY_NCA": {"SCALE": 20}},
    "ATTACK": {
        "NAMES": ["pgd-soft_rank"],
        "EPS_255": [8],
        "STEP_CURVE": [],
        "PGD": {"STEPS": 3},
        "SOFT_RANK": {"TEMPERATURE": 0.1},
    },
}


def run(*args: object, code: int = 0, cwd: Path) -> str:
    """Runs ``reid`` in a folder, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        done = commands.run(*map(str, args), code=code)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab's folder: parts, a config that names them, a data set, pretrained weights."""
    root = tmp_path_factory.mktemp("lab")
    drawn = next(data.glob("synthetic-tiny-*"))
    names = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
    for source, target in names.items():
        pids = sorted({p.name[:4] for p in (drawn / source).glob("0*.jpg")} - {"0000"})
        for file in sorted((drawn / source).glob("0*.jpg")):
            if file.name[:4] in pids:  # identities count from 0, as in no data set of the field
                home = (
                    root
                    / "crowd"
                    / target
                    / str(pids.index(file.name[:4]) + 50 * (target == "train"))
                )
                home.mkdir(parents=True, exist_ok=True)
                camera, rest = file.name[6], file.name[7:]
                (home / f"c{camera}_{rest}").write_bytes(file.read_bytes())
    (root / "parts").mkdir()
    for part in PARTS:
        (root / "parts" / part.name).write_bytes(part.read_bytes())
    weights = torchvision.models.mobilenet_v2(width_mult=0.5).state_dict()
    torch.save(weights, root / "mobilenet_v2.pth")
    config = json.loads(json.dumps(CONFIG))
    config["IMPORTS"] = [f"./parts/{part.name}" for part in PARTS]
    config["MODEL"]["PRETRAIN_PATH"] = str(root / "mobilenet_v2.pth")
    config["DATASETS"]["ROOT_DIR"] = str(root)
    config["OUTPUT_DIR"] = str(root / "out")
    (root / "lab.yml").write_text(yaml.safe_dump(config))
    with outside.forgotten(root / "parts" / part.name for part in PARTS):
        yield root


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """The one command in a process of its own: nothing but IMPORTS brings the parts in."""
    command = [sys.executable, "-m", "reid", "train", "--config-file", "lab.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out"


def test_they_train_and_are_recorded(folder: Path, trained: Path) -> None:
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and rows[-1]["loss_proxy_nca"] > 0 and rows[-1]["loss_lifted"] > 0
    saved = torch.load(trained / "last.pth", weights_only=True)
    files = [str(folder / "parts" / part.name) for part in PARTS]
    assert yaml.safe_load((trained / "config.yml").read_text())["IMPORTS"] == files
    assert yaml.safe_load(saved["config"])["IMPORTS"] == files
    assert sorted(saved["code"]["imports"]) == files
    assert all(len(digest) == 12 for digest in saved["code"]["imports"].values())
    assert saved["commit"].endswith("+changes") or saved["commit"] == "unknown"
    assert "lifted.py" in (trained / "train.log").read_text()


def test_the_weights_of_a_loss_are_trained_with_their_own_rate(trained: Path) -> None:
    saved = torch.load(trained / "last.pth", weights_only=True)
    assert list(saved["criterion"]) == ["losses.proxy_nca.weight"]
    rates = [group["initial_lr"] for group in saved["optimizer"]["param_groups"]]
    assert rates[-1] == pytest.approx(10 * rates[0])
    last = saved["optimizer"]["param_groups"][-1]["params"]
    assert saved["optimizer"]["state"][last[0]]["step"] == 6  # 2 epochs of 3 batches


def test_a_run_of_them_resumes_to_the_bit(folder: Path, trained: Path) -> None:
    lab = ["train", "--config-file", "lab.yml", "OUTPUT_DIR", folder / "half"]
    run(*lab, "SOLVER.MAX_EPOCHS", 1, cwd=folder)
    run(*lab, "--resume", cwd=folder)
    one, other = (torch.load(f / "last.pth", weights_only=True) for f in (folder / "half", trained))
    for part in ("model", "criterion"):
        assert all(torch.equal(one[part][key], other[part][key]) for key in one[part])


def test_they_are_tested_and_attacked(folder: Path, trained: Path) -> None:
    args = ["--config-file", "lab.yml", "TEST.WEIGHT", trained / "last.pth"]
    run("test", *args, cwd=folder)
    tested = json.loads((trained / "metrics.json").read_text())
    assert 0 < tested["mAP"] <= 1
    run("attack", *args, cwd=folder)
    rows = json.loads((trained / "attack" / "robustness.json").read_text())["rows"]
    found = {row["name"]: row["mAP"] for row in rows}
    assert found["clean"] == tested["mAP"]
    assert found["pgd-soft_rank"] < found["clean"]


def test_the_contract_tests_run_on_them() -> None:
    env = {**os.environ, "REID_IMPORTS": ",".join(map(str, PARTS))}
    names = " or ".join(part.stem for part in PARTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", names]
    done = subprocess.run(
        [*command, str(ROOT / "tests/test_contracts.py")],
        env=env, capture_output=True, text=True, timeout=600, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 30


def test_known_names_and_bounds_are_theirs_too(folder: Path) -> None:
    lab = ["train", "--config-file", "lab.yml", "OUTPUT_DIR", folder / "no"]
    text = run(*lab, "LOSS.NAMES", "[liftet]", code=2, cwd=folder)
    assert "did you mean 'lifted'? Known: arcface, ce, center, circle" in text
    text = run(*lab, "LOSS.LIFTED.MARGIN", "2", code=2, cwd=folder)
    assert "LOSS.LIFTED.MARGIN must be at least 0 and at most 1, got 2" in text
