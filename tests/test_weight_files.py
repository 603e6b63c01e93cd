"""Files of every form: what wraps weights, what is refused and how, safetensors, order alone."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from commands import run, weights
from published import FastReID, ResNet, StrongBaseline, randomize
from published_osnet import OSNet
from published_vit import TransReID
from torch import Tensor, nn

from reid import builders
from reid.config import load_cfg
from reid.modeling import BACKBONES
from reid.modeling.backbones.pretrained import load_pretrained
from reid.utils.errors import InputError
from reid.utils.logs import get_logger
from reid.weights._resnet import resnet_name
from reid.weights.reading import read

pytestmark = pytest.mark.usefixtures("narrow_resnet18")


def state(net: nn.Module | None = None) -> dict[str, Tensor]:
    return dict((net or randomize(StrongBaseline())).state_dict())


def prefixed(prefix: str) -> Callable[[dict[str, Tensor]], Any]:
    return lambda tensors: {prefix + key: value for key, value in tensors.items()}


LIGHTNING: dict[str, Any] = {"epoch": 3, "pytorch-lightning_version": "2.5", "callbacks": {}}
WRAPPED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "bare": dict,
    "DataParallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "compiled and parallel": prefixed("module._orig_mod."),
    "compiled base": lambda t: {k.replace("base.", "base._orig_mod."): v for k, v in t.items()},
    "Lightning": lambda t: {
        "state_dict": {**prefixed("model.")(t), "criterion.centers": torch.ones(2, 3)}, **LIGHTNING
    },
    "torchreid's with numpy": lambda t: {
        "state_dict": t, "rank1": np.float64(0.9), "epoch": np.int64(3), "map": np.float32(0.5),
        "done": np.bool_(True), "optimizer": {"state": {}, "param_groups": []},
    },
    "model": lambda t: {"model": t, "iteration": 3},
}  # fmt: skip


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_what_wraps_a_network_is_taken_off(tmp_path: Path, wrapper: str) -> None:
    theirs = state()
    torch.save(WRAPPED[wrapper](theirs), tmp_path / "theirs.pth")
    said = run("convert", tmp_path / "theirs.pth", "-o", tmp_path / "ours.pth").stdout
    assert "family strong_baseline: " in said
    assert ("skipped  criterion.centers" in said) == (wrapper == "Lightning")
    ours = weights(tmp_path, "ours.pth")
    for key, value in theirs.items():
        here = re.sub("^base", "backbone", re.sub("^(classifier|bottleneck)", r"head.\1", key))
        assert torch.equal(ours[here], value), key


def test_files_of_an_old_torch_and_of_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    theirs = state()
    torch.save(theirs, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(theirs, tmp_path / "theirs.safetensors")
    for name in ("old.pth", "theirs.safetensors"):
        found = read(str(tmp_path / name)).tensors
        assert set(found) == set(theirs)
        assert all(torch.equal(found[key], theirs[key]) for key in theirs)


class Trap:
    """Unpickling it would create a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.victim,))


def refused(*args: object) -> str:
    """The one line that a conversion is refused with."""
    said = run("convert", *args, code=2).stderr
    assert said.count("\n") == 1 and said.startswith("error: ")
    return said


def test_a_whole_model_is_refused_with_the_lines_that_save_it_again(tmp_path: Path) -> None:
    net = randomize(StrongBaseline())
    theirs = tmp_path / "whole.pth"
    torch.save(net, theirs)
    said = refused(theirs, "-o", tmp_path / "ours.pth")
    assert "holds objects (collections.OrderedDict" in said or "published." in said
    line = re.search(r'python -c "(.*)"', said)
    assert line is not None
    exec(line[1], {})  # what the user would run, who trusts the file
    run("convert", tmp_path / "whole.pth.state.pth", "-o", tmp_path / "ours.pth")
    ours = weights(tmp_path, "ours.pth")
    assert torch.equal(ours["head.bottleneck.weight"], net.state_dict()["bottleneck.weight"])


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"state_dict": state(), "more": Trap(tmp_path / "victim")}, tmp_path / "trap.pth")
    said = refused(tmp_path / "trap.pth", "-o", tmp_path / "ours.pth")
    assert "reading them would run code" in said and "model['state_dict']" in said
    assert not (tmp_path / "victim").exists() and not (tmp_path / "ours.pth").exists()


def test_a_program_of_torchscript_is_refused_with_its_own_line(tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save(Trap(tmp_path / "victim"), content)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    (tmp_path / "script.pt").write_bytes(content.getvalue())
    said = refused(tmp_path / "script.pt", "-o", tmp_path / "ours.pth")
    assert "it is a program of TorchScript" in said and "torch.jit.load" in said


def squeezed() -> dict[str, Tensor]:
    more = {"backbone.layer1.0.se.fc.0.weight": torch.ones(2, 2)}
    return {**state(FastReID("bot")), **more}


def usam() -> dict[str, Tensor]:
    block = {"classifier.add_block.0.weight": torch.ones(4, 64), "usam_1.weight": torch.ones(1)}
    return {**{f"model.{k}": v for k, v in state(ResNet()).items()}, **block}


def stripes() -> dict[str, Tensor]:
    """layumi's PCB: a classifier for each of six stripes."""
    head = {"classifier0.add_block.0.weight": torch.ones(4, 64)}
    return {**{f"model.{k}": v for k, v in state(ResNet()).items()}, **head}


REFUSED: dict[str, tuple[Callable[[], dict[str, Tensor]], tuple[object, ...], str]] = {
    "other blocks": (
        lambda: state(FastReID("bot", blocks=(1, 2, 2, 2))), (),
        r"no ResNet-18, 34, 50, 101 or 152 \(stages of \(1, 2, 2, 2\) blocks\)",
    ),
    "squeeze and excitation": (
        squeezed, (), r"'backbone.layer1.0.se.fc.0.weight', and the network resnet18",
    ),
    "attention": (usam, (), r"'usam_1.weight', which is no part of the networks of layumi's"),
    "parts beside": (
        stripes, (), r"ResNet below model. with other parts beside it \(classifier0.* --from plain",
    ),
    "cameras": (
        lambda: state(TransReID(cameras=3)), (), r"which of 3 cameras .* --camera 0 \.\.\. 2",
    ),
    "no such camera": (
        lambda: state(TransReID(cameras=3)), ("--camera", 3), r"--camera 0 \.\.\. 2",
    ),
    "no cameras": (state, ("--camera", 1), "--camera is given, and its network is not told"),
    "another width": (
        lambda: state(FastReID("bot", widths=(64, (8, 16, 32, 80)))), (),
        r"'backbone.layer4.0.conv1.weight' is \(80, 32, 3, 3\) in the file and \(64, 32, 3, 3\)",
    ),
    "no shapes": (
        lambda: dict.fromkeys(state(), torch.tensor(1.0)), (),
        r"'base.conv1.weight' is \(\) in the file and \(64, 3, 7, 7\) in the network resnet18",
    ),
    "no length": (
        lambda: dict.fromkeys(state(OSNet((16, 64, 96, 128))), torch.tensor(1.0)), (),
        r"its tensors are not those of torchreid \(TypeError: len\(\) of a 0-d tensor\)",
    ),
    "a part is missing": (
        lambda: {k: v for k, v in state().items() if k != "base.layer1.0.bn1.weight"}, (),
        "lacks 'backbone.layer1.0.bn1.weight' of the network resnet18 with the head bnneck",
    ),
    "unknown names": (lambda: {"a.weight": torch.ones(3)}, (), "say --network NAME, such as"),
    "another family": (state, ("--from", "layumi"), "its names are not those of layumi"),
    "no family": (
        state, ("--from", "fast-rid"), "unknown family of weights 'fast_rid'; did you mean 'fast_r",
    ),
    "a network of no family": (state, ("--network", "resnet19"), "did you mean 'resnet18'"),
    "order without network": (state, ("--by-order",), "say --network NAME"),
    "a wrong key": (state, ("MODEL.BACKBON.NAME", "x"), "unknown key MODEL.BACKBON.NAME"),
    "half a pair": (state, ("MODEL.BACKBONE.NAME",), "has no partner"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_what_to_do(tmp_path: Path, case: str) -> None:
    make, more, says = REFUSED[case]
    torch.save(make(), tmp_path / "theirs.pth")
    assert re.search(says, refused(tmp_path / "theirs.pth", "-o", tmp_path / "o.pth", *more))
    assert not (tmp_path / "o.pth").exists()


def test_a_resnet_is_taken_out_of_an_unknown_network_where_that_is_said(tmp_path: Path) -> None:
    torch.save(stripes(), tmp_path / "theirs.pth")
    said = run("convert", tmp_path / "theirs.pth", "-o", tmp_path / "o.pth", "--from", "plain")
    assert "skipped  classifier0.add_block.0.weight: beside the network" in said.stdout
    assert "mapped   layer1.0.conv1.weight -> backbone.layer1.0.conv1.weight" in said.stdout


def test_nothing_is_overwritten_and_a_form_is_named(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "theirs.pth")
    (tmp_path / "ours.yml").write_text("")
    assert "ours.yml exists" in refused(tmp_path / "theirs.pth", "-o", tmp_path / "ours.pth")
    said = refused(tmp_path / "theirs.pth", "-o", tmp_path / "ours")
    assert "must end in .pth, .pt, .safetensors" in said
    assert "is no file" in refused(tmp_path / "nowhere.pth", "-o", tmp_path / "o.pth")


def test_pixels_in_the_file_go_into_the_config(tmp_path: Path) -> None:
    levels = {"pixel_mean": torch.tensor([100.0, 110, 120]), "pixel_std": torch.full((3,), 51.0)}
    torch.save({"model": {**state(FastReID("bot")), **levels}}, tmp_path / "theirs.pth")
    run("convert", tmp_path / "theirs.pth", "-o", tmp_path / "ours.pth")
    cfg = load_cfg(tmp_path / "ours.yml")
    assert pytest.approx((100 / 255, 110 / 255, 120 / 255), abs=1e-6) == cfg.INPUT.PIXEL_MEAN
    assert cfg.INPUT.PIXEL_STD == (0.2, 0.2, 0.2)


def test_a_setting_behind_the_command_goes_before_what_is_assumed(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "theirs.pth")
    stride = ["MODEL.BACKBONE.RESNET18.LAST_STRIDE", 2]
    run("convert", tmp_path / "theirs.pth", "-o", tmp_path / "ours.pth", *stride)
    assert load_cfg(tmp_path / "ours.yml").MODEL.BACKBONE.RESNET18.LAST_STRIDE == 2


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_the_blocks_tell_the_depth(depth: int) -> None:
    with torch.device("meta"):
        net = BACKBONES[f"resnet{depth}"]()
        ibn = BACKBONES[f"resnet{depth}_ibn_a"]() if depth < 152 else None
    assert resnet_name(net.state_dict()) == f"resnet{depth}"
    if ibn is not None:
        assert resnet_name(ibn.state_dict()) == f"resnet{depth}_ibn_a"


def feature_of(folder: Path, name: str, pixels: Tensor) -> Tensor:
    """What a converted checkpoint makes of pixels."""
    cfg = load_cfg(folder / f"{name}.yml", ["MODEL.DEVICE", "cpu"])
    model = builders.load_trained(cfg, folder / f"{name}.pth", get_logger(folder, "test"))
    with torch.no_grad():
        return builders.build_embedding(cfg, model).eval().raw(pixels)


def test_a_bare_resnet_of_torchvision_gives_its_pooled_feature(tmp_path: Path) -> None:
    net = randomize(torchvision.models.resnet18(weights=None))
    torch.save(net.state_dict(), tmp_path / "theirs.pth")
    run("convert", tmp_path / "theirs.pth", "-o", tmp_path / "ours.pth")
    pixels = torch.rand(2, 3, 64, 32)
    means, stds = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    net.fc = nn.Identity()
    with torch.no_grad():
        expected = net((pixels - means.view(3, 1, 1)) / stds.view(3, 1, 1))
    torch.testing.assert_close(feature_of(tmp_path, "ours", pixels), expected, atol=1e-5, rtol=1e-5)


def test_a_bare_network_of_timm_is_named_and_has_its_own_pixels(tmp_path: Path) -> None:
    net = randomize(timm.create_model("test_vit"))
    torch.save(net.state_dict(), tmp_path / "theirs.pth")
    size = ["INPUT.SIZE_TRAIN", (160, 160), "INPUT.SIZE_TEST", (160, 160)]
    named = ["--network", "timm:test_vit", "MODEL.BACKBONE.TIMM.TOKEN", "cls", *size]
    said = run("convert", tmp_path / "theirs.pth", "-o", tmp_path / "ours.pth", *named).stdout
    assert "skipped  head.weight: classifier of the bare network" in said
    assert net.pretrained_cfg["mean"] == load_cfg(tmp_path / "ours.yml").INPUT.PIXEL_MEAN
    pixels = torch.rand(2, 3, 160, 160)
    means, stds = (torch.tensor(net.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = net.forward_features((pixels - means) / stds)[:, 0]
    torch.testing.assert_close(feature_of(tmp_path, "ours", pixels), expected, atol=1e-5, rtol=1e-5)


MOBILE = "torchvision:mobilenet_v2"


def foreign_names(net: nn.Module) -> dict[str, Tensor]:
    """The network's tensors in its order; of each name only the last word is left."""
    own = {key: v for key, v in net.state_dict().items() if not key.startswith("classifier")}
    return {f"body.{i}.{k.rpartition('.')[2]}": v for i, (k, v) in enumerate(own.items())}


def test_order_alone_starts_a_network_whose_names_are_foreign(tmp_path: Path) -> None:
    net = randomize(torchvision.models.mobilenet_v2(weights=None))
    torch.save(foreign_names(net), tmp_path / "theirs.pth")
    named = ["--by-order", "--network", MOBILE]
    said = run("convert", tmp_path / "theirs.pth", "-o", tmp_path / "ours.pth", *named).stdout
    assert "mapped   body.0.weight -> backbone.net.features.0.0.weight" in said
    assert "312 mapped, 0 skipped, 2 missing" in said
    cfg = load_cfg(None, ["MODEL.BACKBONE.NAME", MOBILE])
    backbone = builders.model.build_backbone(cfg)
    load_pretrained(backbone, "mobilenet_v2", "path", str(tmp_path / "ours.pth"))
    wanted = net.state_dict()
    assert all(torch.equal(v, wanted[k]) for k, v in backbone.net.state_dict().items())


def test_another_order_is_no_order_of_the_network(tmp_path: Path) -> None:
    right = foreign_names(torchvision.models.mobilenet_v2(weights=None))
    named = ["-o", tmp_path / "ours.pth", "--by-order", "--network", MOBILE]

    def said(tensors: dict[str, Tensor]) -> str:
        torch.save(tensors, tmp_path / "theirs.pth")
        return refused(tmp_path / "theirs.pth", *named)

    assert "311 tensors, and the network 312" in said(dict([*right.items()][1:]))
    items = [*right.items()]
    items[1], items[2] = items[2], items[1]  # weight and bias of a normalization: the same shape
    assert "tensor 2 is 'body.2.bias' (32,) in the file and 'features.0.1.weight'" in said(
        dict(items)
    )
    wide = {**right, "body.0.weight": torch.ones(64, 3, 3, 3)}
    assert "tensor 1 is 'body.0.weight' (64, 3, 3, 3) in the file" in said(wide)


def test_a_family_of_ones_own_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text(
        "from reid.weights import FAMILIES, Conversion, Family\n"
        "from reid.weights.family import renamed\n"
        "from reid.weights.strong_baseline import StrongBaseline\n\n\n"
        '@FAMILIES.register("lab")\n'
        "class Lab(Family):\n"
        '    meaning = "the lab"\n\n'
        "    def recognizes(self, state):\n"
        '        return "trunk.conv1.weight" in state\n\n'
        "    def convert(self, state, options):\n"
        '        inner = {k.replace("trunk.", "base."): v for k, v in state.items()}\n'
        "        return StrongBaseline().convert(inner, options)\n"
    )
    theirs = {key.replace("base.", "trunk."): value for key, value in state().items()}
    torch.save(theirs, tmp_path / "theirs.pth")
    own = ["IMPORTS", tmp_path / "lab.py"]
    said = run("convert", tmp_path / "theirs.pth", "-o", tmp_path / "ours.pth", *own).stdout
    assert "family lab: " in said


def test_imagenet_of_ibn_is_the_authors_file_with_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(url: str, file: str, hash_prefix: str | None, progress: bool) -> None:
        asked.append((url.rsplit("/", 1)[1], hash_prefix))
        raise TimeoutError

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    backbone = BACKBONES["resnet18_ibn_a"]()
    with pytest.raises(InputError, match=r"put the file resnet18_ibn_a-2f571257.pth into"):
        load_pretrained(backbone, "resnet18_ibn_a", "imagenet", "")
    assert asked == [("resnet18_ibn_a-2f571257.pth", "2f571257")]
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    given = randomize(ResNet(ibn=True)).state_dict()
    given["fc.weight"] = torch.ones(3, 64)
    torch.save(given, tmp_path / "checkpoints" / "resnet18_ibn_a-2f571257.pth")
    load_pretrained(backbone, "resnet18_ibn_a", "imagenet", "")
    assert all(torch.equal(v, given[k]) for k, v in backbone.state_dict().items())


def test_imagenet_of_osnet_says_where_it_is() -> None:
    with pytest.raises(InputError, match="from the model zoo of torchreid, set it to path"):
        load_pretrained(BACKBONES["osnet_x0_25"](), "osnet_x0_25", "imagenet", "")
