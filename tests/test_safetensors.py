"""Checkpoints of ours as safetensors: written, tested, read back; and what is said without it."""

import json
import sys
from pathlib import Path

import pytest
import torch
from commands import lfm, run

from reid.modeling import BACKBONES
from reid.modeling.backbones.pretrained import load_pretrained

pytestmark = pytest.mark.usefixtures("narrow_resnet18")


def refused(*args: object) -> str:
    """The one line that a conversion is refused with."""
    said = run("convert", *args, code=2).stderr
    assert said.count("\n") == 1 and said.startswith("error: ")
    return said


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    run("train", *lfm(data, out, "SOLVER.MAX_EPOCHS", 1, "SOLVER.EVAL_PERIOD", -1))
    return out


def test_our_checkpoints_become_safetensors_and_come_back(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    from safetensors import safe_open

    out = tmp_path / "model.safetensors"
    said = run("convert", trained / "last.pth", "-o", out).stdout
    assert "epoch 1, without " in said and "optimizer" in said
    with safe_open(out, framework="pt") as file:
        header = json.loads(file.metadata()["reid"])
    whole = torch.load(trained / "last.pth", weights_only=True)
    for key in ("config", "pids", "epoch", "facts", "commit"):
        assert header[key] == whole[key], key
    run("convert", out, "-o", tmp_path / "back.pth")
    assert (tmp_path / "model.yml").read_text() == whole["config"]

    def mean_ap(weight: Path) -> float:
        run("test", *lfm(data, tmp_path / weight.stem, "TEST.WEIGHT", weight))
        return float(json.loads((tmp_path / weight.stem / "metrics.json").read_text())["mAP"])

    expected = mean_ap(trained / "last.pth")
    assert mean_ap(out) == expected and mean_ap(tmp_path / "back.pth") == expected
    backbone = BACKBONES["resnet18"]()
    load_pretrained(backbone, "resnet18", "path", str(out))
    key = "layer4.1.conv2.weight"
    assert torch.equal(backbone.state_dict()[key], whole["model"][f"backbone.{key}"])


def test_settings_of_our_own_checkpoint_are_not_changed(trained: Path, tmp_path: Path) -> None:
    said = refused(trained / "last.pth", "-o", tmp_path / "o.pth", "SEED", 3)
    assert "is a checkpoint of ours and has its config; SEED cannot be changed" in said


def test_without_safetensors_the_install_line_is_shown(
    data: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"")
    for module in ("safetensors", "safetensors.torch"):
        monkeypatch.setitem(sys.modules, module, None)
    install = 'pip install "reid-lfm[safetensors]"'
    assert install in refused(trained / "last.pth", "-o", tmp_path / "m.safetensors")
    assert install in refused(tmp_path / "w.safetensors", "-o", tmp_path / "o.pth")
    weight = ["TEST.WEIGHT", tmp_path / "w.safetensors"]
    assert install in run("test", *lfm(data, tmp_path, *weight), code=2).stderr


def test_a_damaged_safetensors_file_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"not tensors")
    weight = ["TEST.WEIGHT", tmp_path / "w.safetensors"]
    said = run("test", *lfm(data, tmp_path, *weight), code=2).stderr
    assert "w.safetensors' as safetensors: it is damaged" in said and "Traceback" not in said
