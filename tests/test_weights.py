"""Weights of other projects, through the real commands, against networks of the definitions."""

import json
from collections.abc import Callable, Iterator
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
    TransReID,
    randomize,
)
from published_osnet import OSNet
from torch import Tensor, nn

from reid import builders
from reid.config import load_cfg
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
    "fast_reid-sbs": Case(lambda: FastReID("sbs"), "fast_reid"),
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


@pytest.fixture(scope="module", autouse=True)
def narrow_ibn() -> Iterator[None]:
    """The resnet18_ibn_a is narrow where the resnet18 is: it is made of the same network."""
    yield


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
    assert bool(missing) != CASES[name].head
    if CASES[name].head:
        theirs = [v for k, v in net.state_dict().items() if k.endswith("weight") and len(v) == 5]
        ours = saved["model"]["head.classifier.weight"]
        assert any(torch.equal(ours, value) for value in theirs) and saved["pids"] == [*range(5)]
