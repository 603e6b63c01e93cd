"""Exported files: the same features as torch, or no file at all."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import lfm, run
from torch import Tensor, nn
from untrained import write_checkpoint

import reid
from reid import builders
from reid.config import load_cfg
from reid.evaluation.features import Embedding
from reid.export import onnx
from reid.export.pixels import FromUnit, PixelModel, largest_difference
from reid.export.program import ProgramFeatures, trace
from reid.jobs import export as job
from reid.utils.batch import to_unit
from reid.utils.errors import InputError

pytestmark = pytest.mark.usefixtures("narrow_resnet18")
MISSING = [name for name in onnx.NEEDED if importlib.util.find_spec(name) is None]
needs_onnx = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def weight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("exported") / "best.pth", data)


@pytest.fixture(scope="module")
def said(weight: Path) -> str:
    """What the command prints with all that it can do; the clock is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "images_per_second", lambda form, pixels: 123.0)
        patch.setattr(torch, "compile", lambda form: form)
        patch.setattr(job, "MOST_LOSS", 1.0)  # nobody trained it: a loss of mAP means nothing
        return run("export", weight.parent, "-o", weight.with_name("m.onnx"), "--int8").stdout


def pictures(data: Path) -> list[Path]:
    return sorted(data.glob("*/query/*"))[:5]


def pixels_of(data: Path) -> np.ndarray:
    """The same images as bytes, resized as the documentation says."""
    from PIL import Image

    images = [Image.open(file).convert("RGB") for file in pictures(data)]
    return np.stack([np.asarray(i.resize((32, 64), Image.Resampling.BILINEAR)) for i in images])


@needs_onnx
def test_an_onnx_file_gives_the_features_of_the_model(said: str, weight: Path, data: Path) -> None:
    file = weight.with_name("m.onnx")
    model = reid.load(weight, device="cpu")
    exported = onnx.OnnxFeatures(file)
    pixels = torch.from_numpy(pixels_of(data))
    for count in (5, 1):  # any number of images
        feats = exported(pixels[:count]).numpy()
        assert feats.shape == (count, model.feat_dim) and feats.dtype == np.float32
        np.testing.assert_allclose(feats, model.embed(pictures(data)[:count]), atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(feats, axis=1), 1, atol=1e-5)
    assert exported.size == (64, 32)
    assert exported.facts == {"reid.fingerprint": model.fingerprint, "reid.source": "best.pth"}


@needs_onnx
def test_an_export_is_compared_tested_and_timed(said: str, weight: Path) -> None:
    assert "on 10 random images" in said and "real images" in said
    assert f"written: {weight.with_name('m.onnx')}: uint8 (N, 64, 32, 3) RGB" in said
    table = [line.split("  ") for line in said.splitlines() if line.endswith("123.0")]
    cells = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in table}
    assert list(cells) == [
        *("eager fp32", "eager bf16", "ONNX Runtime fp32", "ONNX Runtime int8"),
        *("compiled fp32", "compiled bf16"),
    ]
    assert cells["ONNX Runtime fp32"] == cells["eager fp32"] and cells["eager fp32"][2] == "0.00"
    assert cells["compiled fp32"] == ["123.0"]
    found = sorted(path.name for path in weight.parent.iterdir())
    assert found == ["best.pth", "m.int8.onnx", "m.onnx"], "no temporary file is left"


@needs_onnx
def test_the_table_has_the_numbers_of_a_test(said: str, weight: Path, data: Path) -> None:
    out = weight.parent / "test"
    tested = run("test", *lfm(data, out, "TEST.WEIGHT", weight)).stdout
    (plain,) = [line.split() for line in tested.splitlines() if line.startswith("plain")]
    (eager,) = [line.split() for line in said.splitlines() if line.startswith("eager fp32")]
    assert float(plain[1]) == pytest.approx(float(eager[2]), abs=0.051)
    assert float(plain[3]) == pytest.approx(float(eager[3]), abs=0.051)


@needs_onnx
def test_a_file_that_differs_is_not_written(
    said: str, weight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(onnx.OnnxFeatures):
        def forward(self, pixels: Tensor) -> Tensor:
            return super().forward(pixels) + 1e-3

    whole = weight.with_name("m.onnx").read_bytes()
    monkeypatch.setattr(job, "save_onnx", lambda model, path, facts: path.write_bytes(whole))
    monkeypatch.setattr(job, "OnnxFeatures", Wrong)
    args = ("export", weight, "-o", tmp_path / "m.onnx", "--no-test", "--no-time")
    error = run(*args, code=2).stderr
    assert "differs from the model by 0.001 on 10 random images" in error
    assert not list(tmp_path.iterdir())


@needs_onnx
def test_int8_that_loses_too_much_is_not_written(
    said: str, weight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "MOST_LOSS", -1.0)
    monkeypatch.setattr(job, "save_onnx", lambda model, path, facts: path.write_bytes(whole))
    whole = weight.with_name("m.onnx").read_bytes()
    args = ("export", weight, "-o", tmp_path / "m.onnx", "--int8", "--no-time")
    assert "m.int8.onnx is not written: that is more than -100 point" in run(*args).stdout
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@needs_onnx
def test_a_file_that_is_no_export_is_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "a.onnx"
    wrong.write_bytes(b"\x80\x04cos\nsystem\n.")  # a pickle is no ONNX file, and is not unpickled
    with pytest.raises(InputError, match=r"a\.onnx is no ONNX file that can be run"):
        onnx.OnnxFeatures(wrong)
    with pytest.raises(InputError, match="is no file"):
        onnx.OnnxFeatures(tmp_path / "b.onnx")
    from onnx import TensorProto, helper, save

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", value[:1], value[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    save(made, str(wrong))
    with pytest.raises(InputError, match="no file of reid export"):
        onnx.OnnxFeatures(wrong)


def test_without_the_extra_the_install_line_is_the_answer(
    weight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    error = run("export", weight, "-o", tmp_path / "m.onnx", code=2).stderr
    assert error == (
        'error: ONNX needs the package onnx, which is not installed: pip install "reid-lfm[onnx]"\n'
    )


def test_a_program_of_torch_gives_the_features_of_the_model(
    weight: Path, data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "m.pt2"
    said = run("export", weight, "--to", "torch", "-o", file, "--no-test", "--no-time").stdout
    assert "not compared on real images" in said and "images/s" not in said
    feats = ProgramFeatures(file)(torch.from_numpy(pixels_of(data))).detach().numpy()
    expected = reid.load(weight, device="cpu").embed(pictures(data))
    np.testing.assert_allclose(feats, expected, atol=1e-5)


def test_a_program_of_torch_is_tested_beside_the_model(weight: Path, tmp_path: Path) -> None:
    said = run("export", weight, "--to", "torch", "-o", tmp_path / "m.pt2", "--no-time").stdout
    table = re.findall(r"^(\S.*?)  +(\d+\.\d\d) +(\d+\.\d\d) +-?\d", said, re.MULTILINE)
    found = {form: (float(mean), float(rank1)) for form, mean, rank1 in table}
    assert found["torch.export fp32"] == pytest.approx(found["eager fp32"], abs=0.02)


def test_wrong_orders_are_one_line(weight: Path, tmp_path: Path) -> None:
    (tmp_path / "there.pt2").touch()
    for args, problem in (
        (("-o", tmp_path / "m.pt2"), "ends in .onnx"),
        (("--to", "torch", "-o", tmp_path / "m.onnx"), "ends in .pt2"),
        (("--to", "torch", "--int8", "-o", tmp_path / "m.pt2"), "--int8 is for --to onnx"),
        (("--to", "torch", "-o", tmp_path / "there.pt2"), "there.pt2 exists"),
    ):
        error = run("export", weight, *args, code=2).stderr
        assert problem in error and error.count("\n") == 1


def test_data_that_is_not_there_is_said(weight: Path, tmp_path: Path) -> None:
    args = ("--to", "torch", "-o", tmp_path / "m.pt2", "--no-time")
    said = run("export", weight, *args, "DATASETS.NAMES", "[viper]").stdout
    assert said.startswith("the test set is not there: ") and "written:" in said


class Odd(nn.Module):
    """A network that decides by its values, which no exporter can follow."""

    def forward(self, images: Tensor) -> Any:
        return images if float(images.sum()) > 0 else -images


def test_a_network_that_cannot_be_exported_says_why_in_one_line() -> None:
    with pytest.raises(InputError, match="this network cannot be exported: ") as caught:
        trace(PixelModel(Embedding(Odd()), (8, 4)))
    assert "\n" not in str(caught.value)


def test_a_difference_that_is_not_finite_is_the_largest() -> None:
    class Constant(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def forward(self, pixels: Tensor) -> Tensor:
            return torch.full((len(pixels), 2), self.value)

    one = [torch.zeros(3, 2, 2, 3, dtype=torch.uint8)]
    assert largest_difference(Constant(1.0), Constant(1.5), one) == 0.5
    assert largest_difference(Constant(1.0), Constant(float("nan")), one) == float("inf")


def test_bytes_survive_the_way_through_unit_pixels() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    back = FromUnit(nn.Identity())(to_unit(every.permute(0, 3, 1, 2)))
    assert torch.equal(back, every)


FAMILIES = (
    *("resnet18_ibn_a", "osnet_x0_25", "osnet_ain_x1_0", "torchvision:mobilenet_v2"),
    *("timm:test_vit", "timm:test_convnext", "timm:test_efficientnet"),
)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_networks_is_exported(name: str, tmp_path: Path) -> None:
    size = "(64,64)" if "vit" in name else "(64,32)"
    keys = ("INPUT.SIZE_TRAIN", "INPUT.SIZE_TEST")
    settings = ["MODEL.BACKBONE.NAME", name, *(text for key in keys for text in (key, size))]
    cfg = load_cfg(None, [*settings, "MODEL.DEVICE", "cpu", "TEST.FLIP", "True"])
    embedding = builders.build_embedding(cfg, builders.build_model(cfg, 3, pretrained=False))
    model = PixelModel(embedding, tuple(cfg.INPUT.SIZE_TEST))
    onnx.save_onnx(model, tmp_path / "m.onnx", {})
    exported = onnx.OnnxFeatures(tmp_path / "m.onnx")
    batches = [model.random(count) for count in (1, 3)]
    assert largest_difference(model, exported, batches) <= job.MOST_DIFFERENCE
