"""Checkpoints: whole or not there, and never run."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from reid.engine import checkpoint as ckpt
from reid.utils.errors import InputError
from reid.utils.logs import MetricsLog, write_whole


def saved(path: Path, model: nn.Module) -> Path:
    ckpt.save(path, model, epoch=3, config="SEED: 0\n", pids=[2, 7], state={"best": {"mAP": 0.5}})
    return path


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    state = ckpt.load(saved(tmp_path / "last.pth", model))
    assert (state["epoch"], state["pids"], state["best"]) == (3, [2, 7], {"mAP": 0.5})
    other = nn.Linear(2, 3)
    ckpt.load_model(other, state, tmp_path / "last.pth")
    assert torch.equal(other.weight, model.weight)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = saved(tmp_path / "last.pth", nn.Linear(2, 3))
    before = path.read_bytes()

    def half(file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, half)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pth"]


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(Bomb.target),)

    target = Path()


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    Bomb.target = tmp_path / "ran"
    torch.save({"format": 1, "model": Bomb()}, tmp_path / "bomb.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pth", "raw.pth"):
        with pytest.raises(InputError, match="is refused"):
            ckpt.load(tmp_path / name)
    assert not Bomb.target.exists()


def test_damaged_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "last.pth", nn.Linear(2, 3))
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"cut\.pth is"):
        ckpt.load(tmp_path / "cut.pth")
    with pytest.raises(InputError, match=r"nowhere\.pth does not"):
        ckpt.load(tmp_path / "nowhere.pth")
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "plain.pth")
    with pytest.raises(InputError, match="weights of a backbone are loaded as pretrained weights"):
        ckpt.load(tmp_path / "plain.pth")


def test_weights_that_do_not_fit_name_the_first_key(tmp_path: Path) -> None:
    state = ckpt.load(saved(tmp_path / "last.pth", nn.Linear(2, 3)))
    with pytest.raises(InputError, match=r"weight is \(3, 2\), the model of this config has"):
        ckpt.load_model(nn.Linear(5, 3), state, tmp_path)
    with pytest.raises(InputError, match="model of this config lacks bias"):
        ckpt.load_model(nn.Linear(2, 3, bias=False), state, tmp_path)
    with pytest.raises(InputError, match=r"checkpoint lacks 0\.bias"):
        ckpt.load_model(nn.Sequential(nn.Linear(2, 3)), state, tmp_path)


def test_a_resumed_metrics_log_drops_what_will_be_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for epoch in (1, 2, 3):
        log.write({"epoch": epoch})
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')  # a killed run
    MetricsLog(path, last_epoch=2).write({"epoch": 3, "again": True})
    assert path.read_text().splitlines() == [
        '{"epoch": 1}',
        '{"epoch": 2}',
        '{"epoch": 3, "again": true}',
    ]
