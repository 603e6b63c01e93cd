"""The real command, on tiny people: a killed study ends with the table of one left in peace."""

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest
import yaml
from commands import ROOT, command, run
from inprocess import InThisProcess

from reid.jobs import ablate

pytestmark = [pytest.mark.early, pytest.mark.usefixtures("tiny_network")]

TINY = {
    "IMPORTS": [str(ROOT / "tests/tiny_network.py")],
    "MODEL": {"BACKBONE": {"NAME": "tiny_network"}},
    "DATASETS": {"SYNTHETIC": {"PRESET": "tiny"}},
    "INPUT": {"SIZE_TRAIN": [64, 32], "SIZE_TEST": [64, 32]},
    "SOLVER": {"IMS_PER_BATCH": 16, "MAX_EPOCHS": 2, "EVAL_PERIOD": -1, "PRECISION": "fp32"},
    "DATALOADER": {"NUM_WORKERS": 0},
}


def study(folder: Path, data: Path, **changes: object) -> Path:
    """Writes a study of tiny people; its folder is ``out``."""
    tree = {
        "_BASE_": "synthetic_baseline.yml",
        "OUTPUT_DIR": str(folder / "out"),
        "OVERRIDES": {**TINY, "DATASETS.ROOT_DIR": str(data)},
        "VARIANTS": {"plain": {}, "lfm": {"MODEL.REGULARIZER.NAME": "lfm"}},
        "RUN": ["train", "test"],
        **changes,
    }
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablate, "StepProcess", InThisProcess)


def tree_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def metrics(folder: Path) -> dict[str, object]:
    """The result of a test, without times, places and what was typed."""
    found = json.loads((folder / "metrics.json").read_text())
    others = ("seconds", "weight", "config_hash", "code", "command")
    return {k: v for k, v in found.items() if k not in others}


def test_a_killed_study_ends_with_the_table_of_one_in_peace(tmp_path: Path, data: Path) -> None:
    """SIGKILL ends the study, and its training too."""
    long = {"train": {"SOLVER.MAX_EPOCHS": 25}, "test": {}}
    path = study(tmp_path, data, VARIANTS={"lfm": {"MODEL.REGULARIZER.NAME": "lfm"}}, RUN=long,
                 KEEP="results")  # fmt: skip
    out = tmp_path / "out/lfm/seed0"
    process = subprocess.Popen(command("ablate", path), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (out / "last.pth").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    training = int((out / ".run.lock").read_text().partition('"pid": ')[2].partition(",")[0])
    os.kill(process.pid, signal.SIGKILL)
    os.kill(training, signal.SIGKILL)
    process.wait()
    assert len((out / "metrics.jsonl").read_text().splitlines()) < 25
    done = run("ablate", path)
    assert "lfm/seed0 train done" in done.stdout and "1 of 1 cells are done" in done.stdout
    assert "resumed" in (out / "train.log").read_text()
    assert not list(out.glob("*.pth"))  # KEEP results
    peace = tmp_path / "peace"
    record = json.loads((out / "cell.json").read_text())["steps"]
    for name in ("train", "test"):
        typed = [text.replace(str(out), str(peace)) for text in record[name]["command"][2:]]
        run(name, *typed)
    assert metrics(out) == metrics(peace)
    assert run("ablate", path).stdout.count("done in") == 0  # nothing is left to do


def test_a_dry_run_says_the_cost_and_leaves_nothing(tmp_path: Path, data: Path) -> None:
    path = study(tmp_path, data, SEEDS=[0, 1, 2], KEEP="results")
    before = tree_of(tmp_path)
    text = run("ablate", path, "--dry-run", "--jobs", 2, "--threads", 1).stdout
    assert tree_of(tmp_path) == before
    assert f"{path}: 6 cells, 0 of them done; each runs train, test" in text
    rows = [line.split()[:4] for line in text.splitlines() if line.startswith(("plain", "lfm"))]
    assert rows == [["plain", "3", "0", "300"], ["lfm", "3", "0", "300"]]  # 3 x 2 epochs x 50
    assert "for 6 cells, 2 at a time with 1 threads each" in text
    assert "12.0 MiB of disk (KEEP results)" in text


@pytest.mark.usefixtures("in_process")
def test_failures_are_said_and_the_exit_code_tells(tmp_path: Path, data: Path) -> None:
    """A variant whose network has too few channels for LFM fails; the other one does not."""
    wide = {"MODEL.REGULARIZER": {"NAME": "lfm", "LFM": {"NUM_CHANNELS": 99}}}
    path = study(tmp_path, data, VARIANTS={"wide": wide, "plain": {}}, RUN=["train"])
    text = run("ablate", path, code=1).stdout
    assert "wide/seed0 FAILED, train: MODEL.REGULARIZER.LFM" in text
    assert f"see {tmp_path}/out/wide/seed0/train.out" in text
    assert "1 of 2 cells are done" in text
    content = json.loads((tmp_path / "out/study.json").read_text())
    assert content["states"] == {"done": 1, "failed": 1}
    shown = run("results", tmp_path / "out").stdout
    assert "plain/seed0: trained, not tested" in shown
    # An edited recipe is not taken for the old one.
    edited = study(tmp_path, data, VARIANTS={"plain": {"SOLVER.BASE_LR": 0.1}}, RUN=["train"])
    error = run("ablate", edited, code=2).stderr
    assert "plain/seed0 holds a run of another recipe" in error and "--replace" in error


@pytest.mark.usefixtures("in_process")
def test_the_first_page_gets_from_a_question_to_a_table(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file and its commands, on tiny people and a tiny network."""
    page = (ROOT / "docs/start_researcher.md").read_text()
    section = page.split("## The idea")[1].split("\n## ")[0]
    file = section.split("```yaml\n")[1].split("```")[0]
    lines = section.split("```bash\n")[1].split("```")[0].splitlines()
    typed = [shlex.split(line, comments=True) for line in lines if line.startswith("reid ")]
    assert [words[1] for words in typed] == ["ablate", "ablate", "results", "compare", "report"]
    tree = yaml.safe_load(file)
    tree["SEEDS"] = [0, 1]
    tree["OVERRIDES"] = {**TINY, "DATASETS.ROOT_DIR": str(data), **tree.get("OVERRIDES", {})}
    monkeypatch.chdir(tmp_path)
    Path(typed[0][2]).write_text(yaml.safe_dump(tree, sort_keys=False))
    shown = {}
    for _, name, *words in typed:
        shown[name] = run(name, *words).stdout
    rows = [line.split()[0] for line in shown["results"].splitlines() if "±" in line]
    assert rows == sorted(tree["VARIANTS"])
    assert "erasing" in shown["compare"] and "difference" in shown["compare"]
    page = Path("report.html").read_text()
    assert "Compared with the baseline" in page and "erasing − plain" in page
    # A cell is the run that the ordinary commands make.
    cell = Path("outputs/ablations", Path(typed[0][2]).stem, rows[0], "seed0")
    assert {"config.yml", "metrics.jsonl", "metrics.json", "last.pth", "train.log"} <= {
        path.name for path in cell.iterdir()
    }
    schema = json.loads((ROOT / "docs/metrics.schema.json").read_text())
    for line in (cell / "metrics.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), schema)


@pytest.mark.parametrize(
    "change",
    [{"epoch": 0}, {"epoch": 1.5}, {"mAP": 1.2}, {"mAP": 0.5}, {"loss_ce": "low"}, {"x": None}],
)
def test_the_schema_bites(change: dict[str, object]) -> None:
    schema = json.loads((ROOT / "docs/metrics.schema.json").read_text())
    row = {"epoch": 1, "lr": 0.1, "loss_ce": 2.0, "loss_total": 2.0,
           "images_per_second": 9.0, "train_seconds": 1.0}  # fmt: skip
    jsonschema.validate(row, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**row, **change}, schema)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jobs", 0], "--jobs must be a whole number of at least 1, got 0"),
        (["--threads", -1], "--threads must be a whole number of at least 0, got -1"),
        (["--engine", "a=1"], "--engine goes with --on slurm or --on local"),
        (["--only", "lfn"], "--only lfn means no cell; did you mean 'lfm'?"),
        (["--only", "lfm", "plain/1"], "write --only before each: --only lfm --only plain/1"),
        (["--on", "local", "--engine", "a=1", "b=2"], "before each: --engine a=1 --engine b=2"),
        (["--preset", "small"], "has no preset 'small'; it has none"),
        (["--on", "slurm", "--engine", "a"], "--engine a: write NAME=VALUE"),
    ],
)
def test_a_wrong_option_is_one_line(
    tmp_path: Path, data: Path, options: list[object], said: str
) -> None:
    error = run("ablate", study(tmp_path, data), *options, code=2).stderr
    assert error.startswith("error: ") and said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("variants", "options"),
    [
        ({"plain": {}}, ["--only", "lfn"]),
        ({"plain": {}, "wrong": {"MODEL.HEAD.NAME": "neck"}}, []),
    ],
)
def test_people_are_not_drawn_for_a_study_that_is_refused(
    tmp_path: Path, variants: dict[str, object], options: list[str]
) -> None:
    people = tmp_path / "people"
    run("ablate", study(tmp_path, people, VARIANTS=variants), *options, code=2)
    assert not people.exists()
