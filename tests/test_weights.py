"""Weights of other projects, through the real commands, against networks of the definitions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from commands import ROOT, run
from published import (
    FastReID,
    Layumi,
    OldLayumi,
    StrongBaseline,
    TorchreidResNet,
    randomize,
)
from published_osnet import OSNet
from published_vit import TransReID
from torch import Tensor, nn

from reid import builders
from reid.config import load_cfg
from reid.data.images import decode
from reid.utils.logs import get_logger

pytestmark = pytest.mark.usefixtures("narrow_resnet18")
SIZE = (64, 32)
SMALL = [
    "DATASETS.NAMES", "synthetic", "DATASETS.SYNTHETIC.PRESET", "tiny",
    "DATALOADER.NUM_WORKERS", "0", "INPUT.SIZE_TRAIN", SIZE, "INPUT.SIZE_TEST", SIZE,
]  # fmt: skip
TRAINING = [
    "SOLVER.MAX_EPOCHS", 1, "SOLVER.IMS_PER_BATCH", 16, "SOLVER.EVAL_PERIOD", -1,
    "SOLVER.WARMUP_EPOCHS", 0, "SOLVER.PRECISION", "fp32", "SOLVER.STEPS", "(1,)",
]  # fmt: skip


class Case(NamedTuple):
    """A network of another project, and how its file is converted."""

    net: Callable[[], nn.Module]
    family: str
    mean: float | None = None  # of its pixels; None is ImageNet's
    more: tuple[object, ...] = ()  # behind the command
    head: bool = True  # whether BNNeck or block, and classifier, come along


def pool2x2() -> nn.Module:
    return nn.MaxPool2d(2)


CASES = {
    "strong_baseline": Case(StrongBaseline, "strong_baseline"),
    "strong_baseline-ibn": Case(lambda: StrongBaseline(ibn=True), "strong_baseline"),
    "strong_baseline-no-neck": Case(lambda: StrongBaseline(neck=False), "strong_baseline"),
    "fast_reid-bot": Case(lambda: FastReID("bot"), "fast_reid"),
    "fast_reid-bot-embedding": Case(lambda: FastReID("bot", embedding=12), "fast_reid"),
    "fast_reid-agw": Case(lambda: FastReID("agw", non_local=(0, 1, 2, 0)), "fast_reid"),
    "fast_reid-sbs": Case(lambda: FastReID("sbs", non_local=(0, 1, 2, 0)), "fast_reid"),
    "fast_reid-sbs-ibn": Case(lambda: FastReID("sbs", ibn=True), "fast_reid"),
    "torchreid": Case(TorchreidResNet, "torchreid"),
    "torchreid-fc": Case(lambda: TorchreidResNet(embedding=12), "torchreid"),
    "torchreid-osnet": Case(lambda: OSNet((16, 64, 96, 128)), "torchreid"),
    "torchreid-osnet-ibn": Case(lambda: OSNet((64, 256, 384, 512), "ibn"), "torchreid"),
    "torchreid-osnet-ain": Case(lambda: OSNet((64, 256, 384, 512), "ain"), "torchreid"),
    "layumi": Case(lambda: Layumi(12), "layumi"),
    "layumi-no-linear": Case(lambda: Layumi(0), "layumi"),
    "layumi-old": Case(OldLayumi, "layumi", head=False),
    "transreid-cnn": Case(
        lambda: StrongBaseline(pool=pool2x2), "transreid", more=("--from", "transreid")
    ),
    "transreid": Case(TransReID, "transreid", 0.5),
    "transreid-stride": Case(lambda: TransReID(stride=12), "transreid", 0.5),
    "transreid-jpm-sie": Case(
        lambda: TransReID(cameras=3, local=True), "transreid", 0.5, ("--camera", 1)
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def images(count: int = 3) -> Tensor:
    """Pixels in [0, 1]: whole levels of 255, as an image file has them."""
    levels = torch.randint(256, (count, 3, *SIZE), generator=torch.Generator().manual_seed(7))
    return levels.float() / 255


def feature(case: Case, net: nn.Module, pixels: Tensor) -> Tensor:
    """What the project compares, before any division by its length."""
    if case.family == "fast_reid":
        feat: Tensor = net(pixels * 255)  # it normalizes itself
        return feat
    means, stds = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    if case.mean is not None:
        means, stds = (case.mean,) * 3, (case.mean,) * 3
    x = (pixels - torch.tensor(means).view(3, 1, 1)) / torch.tensor(stds).view(3, 1, 1)
    feat = net(x, camera=1) if isinstance(net, TransReID) else net(x)
    return feat


def converted(folder: Path, name: str) -> tuple[Path, nn.Module, str]:
    """Converts the file of a case once; returns the checkpoint, the network, and what was said."""
    case = CASES[name]
    net = randomize(case.net())
    output = folder / name / "ours.pth"
    text = output.with_suffix(".txt")
    if not output.exists():
        (folder / name).mkdir(exist_ok=True)
        torch.save(net.state_dict(), folder / name / "theirs.pth")
        done = run("convert", folder / name / "theirs.pth", "-o", output, *case.more)
        text.write_text(done.stdout)
    return output, net, text.read_text()


@pytest.mark.parametrize("name", CASES)
def test_features_are_those_of_the_definition(folder: Path, name: str) -> None:
    output, net, said = converted(folder, name)
    cfg = load_cfg(
        output.with_suffix(".yml"), ["INPUT.SIZE_TRAIN", str(SIZE), "MODEL.DEVICE", "cpu"]
    )
    model = builders.load_trained(cfg, output, get_logger(folder, "test"))
    embed = builders.build_embedding(cfg, model).eval()
    pixels = images()
    with torch.no_grad():
        expected, found = feature(CASES[name], net, pixels), embed.raw(pixels)
    assert expected.std(0).mean() > 1e-2, "all images alike would show nothing"
    if cfg.TEST.FLIP:
        with torch.no_grad():
            expected = (expected + feature(CASES[name], net, pixels.flip(3))) / 2
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert f"family {CASES[name].family}: " in said


@pytest.mark.parametrize("name", CASES)
def test_each_key_is_listed_once_and_the_head_comes_along(folder: Path, name: str) -> None:
    output, net, said = converted(folder, name)
    lines = [line.split() for line in said.splitlines()]
    listed = [line[1].rstrip(":") for line in lines if line[0] in ("mapped", "skipped")]
    assert sorted(listed) == sorted(net.state_dict())
    missing = {line[1].rstrip(":") for line in lines if line[0] == "missing"}
    saved = torch.load(output, weights_only=True)
    mapped = {line[3] for line in lines if line[0] == "mapped"}
    assert mapped | missing == set(saved["model"]) and not mapped & missing
    assert any("classifier" in key for key in missing) != CASES[name].head
    if CASES[name].head:
        theirs = [v for k, v in net.state_dict().items() if k.endswith("weight") and len(v) == 5]
        ours = saved["model"]["head.classifier.weight"]
        assert any(torch.equal(ours, value) for value in theirs) and saved["pids"] == [*range(5)]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("strong_baseline", {"RESNET18.STEM_RELU": True}),
        ("transreid-cnn", {"RESNET18.STEM_POOL": "padded"}),
        ("fast_reid-bot", {"RESNET18.STEM_POOL": "padded"}),
        ("torchreid", {"RESNET18.LAST_STRIDE": 1}),
        ("fast_reid-sbs", {"POOLING": "avg"}),
    ],
)
def test_what_is_set_in_the_config_is_another_network(
    folder: Path, name: str, setting: dict[str, object]
) -> None:
    """The bound of 1e-5 above would not hold if a setting were forgotten."""
    output, _, _ = converted(folder, name)
    cfg = load_cfg(output.with_suffix(".yml"), ["MODEL.DEVICE", "cpu"])
    model = builders.load_trained(cfg, output, get_logger(folder, "test")).eval()
    keys = {f"MODEL.BACKBONE.{key}": value for key, value in setting.items()}
    keys = {"MODEL.POOLING.NAME": "avg"} if "POOLING" in setting else keys
    typed = [str(part) for pair in keys.items() for part in pair]
    other_cfg = load_cfg(output.with_suffix(".yml"), ["MODEL.DEVICE", "cpu", *typed])
    other = builders.build_model(other_cfg, 5, pretrained=False).eval()
    other.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad():
        distance = (model(images()).feat - other(images()).feat).abs().max()
    assert distance > 1e-2


# One of each family goes through all commands.
WHOLE = ["strong_baseline", "fast_reid-sbs", "torchreid-fc", "layumi", "transreid-stride"]


@pytest.mark.parametrize("name", WHOLE)
def test_the_real_commands_convert_test_and_fine_tune(
    folder: Path, data: Path, tmp_path: Path, name: str
) -> None:
    output, net, _ = converted(folder, name)
    config = ["--config-file", output.with_suffix(".yml"), *SMALL, "DATASETS.ROOT_DIR", data]

    def tested(weight: Path, out: str) -> tuple[float, np.ndarray]:
        saved = ["TEST.SAVE_FEATURES", True, "OUTPUT_DIR", tmp_path / out]
        run("test", *config, "TEST.WEIGHT", weight, *saved)
        metrics = json.loads((tmp_path / out / "metrics.json").read_text())
        return metrics["mAP"], np.load(tmp_path / out / "features.npz")["query_feats"]

    found = tested(output, "ours")
    # The file itself, read where a checkpoint is read, gives the same bits.
    direct = output.with_name("theirs.pth")
    again = tested(direct, "theirs")
    assert again[0] == found[0] and np.array_equal(again[1], found[1])
    # What the definition gives for the decoded pictures of the tiny people.
    cfg = load_cfg(str(config[1]), [str(part) for part in config[2:]])
    query = builders.load_splits(cfg, False, get_logger(tmp_path, "test")).query
    pixels = torch.from_numpy(np.stack([decode(r.path, SIZE) for r in query]))
    pixels = pixels.permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = feature(CASES[name], net, pixels)
        if cfg.TEST.FLIP:
            unit = torch.nn.functional.normalize
            expected = unit(expected) + unit(feature(CASES[name], net, pixels.flip(3)))
    expected = torch.nn.functional.normalize(expected)
    lengths = np.linalg.norm(found[1], axis=1, keepdims=True)
    np.testing.assert_allclose(found[1] / lengths, expected.numpy(), atol=1e-5)

    tuned = [*config, *TRAINING, "OUTPUT_DIR", tmp_path / "tuned"]
    run("train", *tuned)
    log = (tmp_path / "tuned" / "train.log").read_text()
    assert "Traceback" not in log
    before = torch.load(output, weights_only=True)["model"]
    after = torch.load(tmp_path / "tuned" / "last.pth", weights_only=True)["model"]
    first = next(key for key in before if key.startswith("backbone.") and before[key].ndim == 4)
    moved = (after[first] - before[first]).abs().max()
    # It began with these weights: a step of 3.5e-4 moves none far, and random ones differ by more.
    assert 0 < moved < 0.02 < (before[first] - before[first].roll(1, 0)).abs().max()


def test_a_foreign_file_starts_a_training_only_in_its_own_network(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    theirs = converted(folder, "strong_baseline")[0].with_name("theirs.pth")
    start = ["MODEL.PRETRAIN_CHOICE", "path", "MODEL.PRETRAIN_PATH", theirs]
    network = ["MODEL.BACKBONE.NAME", "resnet18", "OUTPUT_DIR", tmp_path / "run"]
    common = [*SMALL, "DATASETS.ROOT_DIR", data, *TRAINING, *start, *network]
    config = ["--config-file", ROOT / "configs/base.yml"]
    said = run("train", *config, *common, code=2).stderr
    assert said.count("\n") == 1
    assert f"MODEL.PRETRAIN_PATH: '{theirs}' is a file of strong_baseline, whose network" in said
    assert "has STEM_RELU False, and this backbone has True: set the backbone's STEM_RELU" in said
    ours = theirs.with_name("ours.pth")
    said = run("train", *config, *common, "MODEL.PRETRAIN_PATH", ours, code=2).stderr
    assert f"'{ours}' is a checkpoint, whose network has STEM_RELU False" in said
    run("train", *config, *common, "MODEL.BACKBONE.RESNET18.STEM_RELU", False)


def test_a_foreign_file_is_tested_with_its_own_config_only(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    theirs = converted(folder, "fast_reid-bot")[0].with_name("theirs.pth")
    config = ["--config-file", ROOT / "configs/base.yml", *SMALL, "DATASETS.ROOT_DIR", data]
    network = ["MODEL.BACKBONE.NAME", "resnet18", "OUTPUT_DIR", tmp_path]
    said = run("test", *config, *network, "TEST.WEIGHT", theirs, code=2).stderr
    assert said.count("\n") == 1
    assert "is a file of fast_reid, which has MODEL.BACKBONE.RESNET18.STEM_POOL ceil" in said
    assert f"reid convert {theirs} -o OUT.pth" in said


def test_another_feature_than_the_projects_is_warned_of(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    output = converted(folder, "torchreid")[0]
    config = ["--config-file", output.with_suffix(".yml"), *SMALL, "DATASETS.ROOT_DIR", data]
    weight = ["TEST.WEIGHT", output.with_name("theirs.pth"), "OUTPUT_DIR", tmp_path]
    said = run("test", *config, *weight, "TEST.FEAT_NORM", True).stdout
    assert "warning: TEST.FEAT_NORM is True, and torchreid compares with False" in said
