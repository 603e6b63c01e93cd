"""What makes two starts of an attack one run."""

from pathlib import Path

import pytest
import torch

from reid.config import load_cfg
from reid.data.records import ImageRecord, Splits
from reid.jobs.attack_facts import run_facts
from reid.robustness.pieces import run_hash

CODE = {"package": "p", "imports": {"x.py": "i"}, "commit": "c"}


def facts(folder: Path, *overrides: str, surrogate: bool = False, code=None, pid: int = 1) -> dict:
    cfg = load_cfg(None, list(overrides))
    query, gallery = (ImageRecord(folder / name, pid, 0) for name in ("q.jpg", "g.jpg"))
    splits = Splits((), (query,), (gallery,))
    other = (cfg, folder / "w.pth") if surrogate else None
    return run_facts(cfg, folder / "w.pth", other, splits, code or CODE, torch.device("cpu"))


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("w.pth", "q.jpg", "g.jpg"):
        (folder / name).write_bytes(b"content")
    return folder


def test_places_do_not_matter(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "a"), fill(tmp_path / "b")
    places = ["OUTPUT_DIR", "x", "DATASETS.ROOT_DIR", "y", "DATALOADER.NUM_WORKERS", "2"]
    places += ["DATALOADER.CACHE", "none", "TEST.WEIGHT", "z", "MODEL.DEVICE", "cpu"]
    assert facts(one) == facts(other, *places)
    assert facts(one) == facts(one, code={**CODE, "commit": "another"})


@pytest.mark.parametrize("name", ["w.pth", "q.jpg", "g.jpg"])
def test_files_matter(tmp_path: Path, name: str) -> None:
    before = run_hash(facts(fill(tmp_path)))
    (tmp_path / name).write_bytes(b"other content")
    assert run_hash(facts(tmp_path)) != before


@pytest.mark.parametrize(
    "changes",
    [
        ("SEED", "5"),
        ("ATTACK.NAMES", "noise"),
        ("ATTACK.PGD.STEPS", "7"),
        ("ATTACK.SAVE_IMAGES", "3"),
        ("TEST.RE_RANKING", "True"),
        ("INPUT.SIZE_TEST", "(64,32)"),
    ],
)
def test_settings_that_change_a_number_matter(tmp_path: Path, changes) -> None:
    before, after = facts(fill(tmp_path)), facts(tmp_path, *changes)
    assert [key for key in before if before[key] != after[key]] == [changes[0]]


def test_the_rest_matters(tmp_path: Path) -> None:
    known = [
        facts(fill(tmp_path)),
        facts(tmp_path, surrogate=True),
        facts(tmp_path, pid=2),
        facts(tmp_path, code={**CODE, "package": "q"}),
        facts(tmp_path, code={**CODE, "imports": {"x.py": "j"}}),
    ]
    assert len({run_hash(one) for one in known}) == len(known)
