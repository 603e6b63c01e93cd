"""A CNN, a ViT and a Swin of other projects in the real commands."""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from commands import ROOT, lfm, run, weights
from torchvision.models import SwinTransformer

from reid.config import load_cfg, unused_settings
from reid.modeling import PROVIDERS

STAGES = {
    "timm:test_convnext": "[conv1, 'stages.2:dropblock', 'stages.1.blocks.0.mlp']",
    "timm:test_vit": "[conv1, blocks.3, 'blocks.4.mlp:dropout']",
    "torchvision:swin_t": "[conv1, 'features.1', 'features.3.0.mlp:dropout']",
}
NO_NOISE = ["MODEL.REGULARIZER.LFM.NUM_CHANNELS", 4, "SOLVER.WARMUP_EPOCHS", 1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people")
    run("make_synthetic", "--preset", "tiny", "--seed", 0, "--root", root)
    return root


@pytest.fixture(autouse=True)
def small_swin() -> Iterator[None]:
    """Torchvision's smallest Swin takes seconds a step; what is tested depends on no width."""
    own = torchvision.models.get_model

    def small(name: str, **settings: object) -> torch.nn.Module:
        if name != "swin_t":
            found: torch.nn.Module = own(name, **settings)
            return found
        return SwinTransformer([4, 4], 16, [2, 2], [1, 2], [7, 7], stochastic_depth_prob=0.3)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision.models, "get_model", small)
        yield


@pytest.mark.parametrize("name", STAGES)
def test_it_trains_adversarially_resumes_to_the_bit_and_is_tested_and_attacked(
    data: Path, tmp_path: Path, name: str
) -> None:
    drop = ["MODEL.BACKBONE.TIMM.DROP_PATH", 0.2] if name.startswith("timm") else []
    network = ["MODEL.BACKBONE.NAME", name, "MODEL.REGULARIZER.STAGES", STAGES[name], *drop]
    adversarial = ["SOLVER.ADVERSARIAL.ENABLED", True, "SOLVER.ADVERSARIAL.STEPS", 1]
    once = [*network, *NO_NOISE, *adversarial, "SOLVER.EVAL_PERIOD", -1]
    run("train", *lfm(data, tmp_path / "whole", *once, "SOLVER.MAX_EPOCHS", 2))
    run("train", *lfm(data, tmp_path / "half", *once, "SOLVER.MAX_EPOCHS", 1))
    run("train", *lfm(data, tmp_path / "half", *once, "SOLVER.MAX_EPOCHS", 2), "--resume")
    package = name.partition(":")[0]
    facts = torch.load(tmp_path / "half/last.pth", weights_only=True)["facts"]
    assert facts["network"] == f"{package} {importlib.metadata.version(package)}"
    whole, half = weights(tmp_path / "whole"), weights(tmp_path / "half")
    assert list(whole) == list(half) and all(torch.equal(whole[k], half[k]) for k in whole)

    trained = ["TEST.WEIGHT", tmp_path / "whole" / "last.pth"]
    run("test", *lfm(data, tmp_path / "whole", *network, *trained))
    clean = json.loads((tmp_path / "whole" / "metrics.json").read_text())["mAP"]
    few = ["ATTACK.EPS_255", "(8,)", "ATTACK.PGD.STEPS", 2, "ATTACK.STEP_CURVE", "()"]
    names = [
        "ATTACK.NAMES",
        "[pgd-fna]",
        "ATTACK.CORRUPTIONS",
        "[jpeg]",
        "ATTACK.SEVERITIES",
        "[3]",
    ]
    run("attack", *lfm(data, tmp_path / "whole", *network, *trained, *few, *names))
    report = json.loads((tmp_path / "whole" / "attack" / "robustness.json").read_text())
    found = {row["name"]: row["mAP"] for row in report["rows"]}
    assert found["clean"] == clean and found["pgd-fna"] < clean and "jpeg" in str(report)


def refused(data: Path, tmp_path: Path, *more: object) -> str:
    """The one line that a training is refused with."""
    text = run("train", *lfm(data, tmp_path / "no", *more), code=2).stderr
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in text
    return lines[0]


VIT = ["MODEL.BACKBONE.NAME", "timm:vit_tiny_patch16_224"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            [*VIT, "MODEL.REGULARIZER.STAGES", "[layer3]"],
            "MODEL.REGULARIZER.STAGES has the unknown value 'layer3'. Known: input, conv1,"
            " blocks.0, blocks.1,",
        ),
        (
            ["MODEL.BACKBONE.NAME", "timm:vit_tiny_patch16_24"],
            "MODEL.BACKBONE.NAME has the unknown value 'timm:vit_tiny_patch16_24'; did you mean"
            " 'timm:vit_tiny_patch16_224'?",
        ),
        (
            [*VIT, "INPUT.SIZE_TRAIN", "(64,40)"],
            "INPUT.SIZE_TRAIN is (64, 40), but timm:vit_tiny_patch16_224 cuts images into patches"
            " of 16 x 16 pixels; set it to (64, 48) or (64, 32)",
        ),
        (
            [*VIT, "INPUT.SIZE_TEST", "(64,40)"],
            "INPUT.SIZE_TEST is (64, 40), and timm:vit_tiny_patch16_224 does not take images",
        ),
        (
            ["MODEL.BACKBONE.NAME", "timm:resnet18", "MODEL.BACKBONE.TIMM.TOKEN", "cls"],
            "MODEL.BACKBONE.TIMM.TOKEN is cls, but timm:resnet18 has no class token",
        ),
        (
            ["MODEL.BACKBONE.NAME", "tim:resnet18"],
            "command line: MODEL.BACKBONE.NAME has the unknown value 'tim:resnet18'",
        ),
    ],
)
def test_what_is_wrong_ends_in_one_line(
    data: Path, tmp_path: Path, settings: list[object], says: str
) -> None:
    assert f"error: {says}" in refused(data, tmp_path, *settings)


def test_without_timm_the_install_line_is_shown(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    assert refused(data, tmp_path, *VIT) == (
        "error: MODEL.BACKBONE.NAME is timm:vit_tiny_patch16_224, but the package timm is not"
        ' installed: pip install "reid-lfm[timm]"'
    )


def test_other_pixels_than_those_of_the_weights_are_warned_of(data: Path, tmp_path: Path) -> None:
    import timm

    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), tmp_path / "vit.pth")
    path = ["MODEL.PRETRAIN_CHOICE", "path", "MODEL.PRETRAIN_PATH", tmp_path / "vit.pth"]
    short = [*VIT, *path, "SOLVER.MAX_EPOCHS", 1, "SOLVER.EVAL_PERIOD", -1]
    says = (
        "warning: INPUT.PIXEL_MEAN and INPUT.PIXEL_STD are not those that"
        " timm:vit_tiny_patch16_224 was trained with: [0.5, 0.5, 0.5] and [0.5, 0.5, 0.5]"
    )
    run("train", *lfm(data, tmp_path / "one", *short))
    assert says in (tmp_path / "one" / "train.log").read_text()
    halves = ["INPUT.PIXEL_MEAN", "(.5,.5,.5)", "INPUT.PIXEL_STD", "(.5,.5,.5)"]
    run("train", *lfm(data, tmp_path / "two", *short, *halves))
    assert "was trained with" not in (tmp_path / "two" / "train.log").read_text()


def test_settings_of_a_provider_have_an_effect_with_its_networks_only() -> None:
    key = ["MODEL.BACKBONE.TIMM.DROP_PATH", "0.1"]
    assert unused_settings(load_cfg("market_lfm.yml", [*VIT, *key]), "train") == []
    lines = unused_settings(load_cfg("market_lfm.yml", key), "train")
    assert len(lines) == 1 and lines[0].startswith("MODEL.BACKBONE.TIMM.DROP_PATH 0.1 has no")


PROVIDER = '''
from torch import nn
from reid.modeling import PROVIDERS
from reid.modeling.backbones.staged import StagedNetwork, Traits


@PROVIDERS.register("lab")
def build(model: str, size: tuple[int, int], width: int = 8):
    """Networks of the lab.

    Args:
        model: Its name.
        size: (H, W) of the images.
        width: Channels.
    """
    net = nn.Sequential(nn.Conv2d(3, width, 3, 4), nn.ReLU(), nn.Conv2d(width, 6, 3, 2))
    return StagedNetwork(net, lambda net, x: net(x), size, Traits(f"lab:{model}"), "patch")
'''


def test_a_provider_of_ones_own_is_one_file(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in ("_table", "_settings", "_files"):
        monkeypatch.setattr(PROVIDERS, table, dict(getattr(PROVIDERS, table)))
    assert PROVIDERS.section is not None
    monkeypatch.setattr(PROVIDERS.section, "taken", dict(PROVIDERS.section.taken))
    (tmp_path / "lab.py").write_text(PROVIDER)
    own = ["IMPORTS", f"[{tmp_path / 'lab.py'}]", "MODEL.BACKBONE.NAME", "lab:small"]
    own += ["MODEL.BACKBONE.LAB.WIDTH", 12, "MODEL.REGULARIZER.STAGES", "[conv1, '1:dropout']"]
    run("train", *lfm(data, tmp_path / "out", *own, *NO_NOISE, "SOLVER.MAX_EPOCHS", 1))
    assert weights(tmp_path / "out")["backbone.net.0.weight"].shape == (12, 3, 3, 3)


def test_timm_and_torchvision_are_not_loaded_before_a_network_is_built() -> None:
    """They take as long to load as torch."""
    code = (
        "import sys, reid.builders, reid.cli.train; from reid.config import load_cfg;"
        "load_cfg('market_lfm.yml', ['MODEL.BACKBONE.NAME', 'timm:resnet50']);"
        "assert not {'timm', 'torchvision', 'safetensors'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
