"""The defences that are compared: what each config adds, and that the shares are matched."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from reid.builders import make
from reid.config import difference, load_cfg, regularizer_of_stage
from reid.modeling import HEADS, REGULARIZERS

FOLDER = Path(__file__).parents[1] / "configs/defences"
NAME, P = "MODEL.REGULARIZER.NAME", "MODEL.REGULARIZER.{}.P"
LFM = {NAME: "lfm"}
ERASING = {"INPUT.ERASING_PROB": 0.5}
ADVERSARIAL = {"SOLVER.ADVERSARIAL.ENABLED": True}
FILL = "MODEL.REGULARIZER.LFM.FILL"
NOISE = ("flip", "padding", "jitter", "grayscale_patch", "noise", "erasing")
ADDED = {
    "plain": {},
    "erasing": ERASING,
    "lfm": LFM,
    "lfm_zero": LFM | {FILL: "zero"},
    "lfm_mean": LFM | {FILL: "mean"},
    "lfm_normal": LFM | {FILL: "normal"},
    "lfm_scaled": LFM | {FILL: "scaled"},
    "lfm_cells": LFM | {"MODEL.REGULARIZER.LFM.PLACE": "cells"},
    "cells": {NAME: "cells"},
    "dropout": {NAME: "dropout", P.format("DROPOUT"): 0.0153},
    "spatial_dropout": {NAME: "spatial_dropout", P.format("SPATIAL_DROPOUT"): 0.0153},
    "dropblock": {NAME: "dropblock", P.format("DROPBLOCK"): 0.0153},
    "cutout": {NAME: "cutout", "MODEL.REGULARIZER.STAGES": ("input",)},
    "pixel_noise": {"INPUT.TRANSFORMS": NOISE},
    "head_dropout": {"MODEL.HEAD.BNNECK.DROPOUT": 0.5},
    "plain_long": {"SOLVER.MAX_EPOCHS": 30},
    "lgpr": {"INPUT.GRAYSCALE_PATCH_PROB": 0.4},
    "adversarial": ADVERSARIAL,
    "reranking": {"TEST.RE_RANKING": True, "TEST.WEIGHT": "outputs/defences/plain/last.pth"},
    "lfm_erasing": LFM | ERASING,
    "lfm_cutout": LFM | {"MODEL.REGULARIZER.STAGES": ("conv1", "input:cutout")},
    "lfm_adversarial": LFM | ADVERSARIAL,
}
LFM_SHARE = 0.15 * 32 / 64 * 0.2042
# Of the map behind conv1, for a batch; spatial dropout, which knows no cells, gets more channels.
MAPS = {"lfm": (64, 64, 64, 32), "spatial_dropout": (64, 12800, 1, 1)}
PASSES = {"lfm": 1600, "dropblock": 3}  # until masked samples and blocks number thousands


def test_every_defence_is_listed_and_told_of() -> None:
    assert {path.stem for path in FOLDER.glob("*.yml")} == ADDED.keys()
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert all(any(f"`{name}.yml`" in row for row in rows) for name in ADDED)


@pytest.mark.parametrize("name", ADDED)
def test_a_defence_is_the_plain_recipe_and_what_it_adds(name: str) -> None:
    plain, cfg = load_cfg(FOLDER / "plain.yml"), load_cfg(FOLDER / f"{name}.yml")
    found = {key: value for key, value, _ in difference(cfg, plain)}
    found.pop("OUTPUT_DIR", None)
    assert found == ADDED[name]


def test_the_plain_recipe_is_the_baseline_without_erasing_and_shorter() -> None:
    plain = load_cfg(FOLDER / "plain.yml")
    baseline = load_cfg(FOLDER.parent / "synthetic_baseline.yml")
    found = {key: value for key, value, _ in difference(plain, baseline)}
    assert found == {
        "INPUT.ERASING_PROB": 0.0,
        "SOLVER.MAX_EPOCHS": 12,
        "SOLVER.EVAL_PERIOD": 6,
        "OUTPUT_DIR": "outputs/defences/plain",
    }


def masked_cells(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Cells that one pass overwrites."""
    if hasattr(module, "num_channels"):  # the boxes of LFM say it; writing them takes longer
        boxes = module.draw(*shape)
        return int((boxes.height * boxes.width).sum())
    return int((module(-torch.ones(shape)) >= 0).sum())


@pytest.mark.parametrize("name", ["lfm", "cells", "dropout", "spatial_dropout", "dropblock"])
def test_rivals_overwrite_the_share_that_lfm_overwrites(name: str) -> None:
    cfg = load_cfg(FOLDER / f"{name}.yml")
    assert regularizer_of_stage(cfg) == {"conv1": name}
    module = make(REGULARIZERS, name, cfg)
    module.reseed(0)
    shape, passes = MAPS.get(name, MAPS["lfm"]), PASSES.get(name, 1)
    cells = sum(masked_cells(module, shape) for _ in range(passes))
    assert cells / (passes * math.prod(shape)) == pytest.approx(LFM_SHARE, rel=0.03)


def test_pixel_noise_and_lfm_change_the_same_share_of_images() -> None:
    noise, lfm = load_cfg(FOLDER / "pixel_noise.yml"), load_cfg(FOLDER / "lfm.yml")
    assert noise.INPUT.NOISE_PROB == lfm.MODEL.REGULARIZER.LFM.P
    assert noise.INPUT.NOISE_SD == 8.0


def test_plain_long_is_two_and_a_half_times_as_long() -> None:
    plain, long = load_cfg(FOLDER / "plain.yml"), load_cfg(FOLDER / "plain_long.yml")
    assert long.SOLVER.MAX_EPOCHS == 2.5 * plain.SOLVER.MAX_EPOCHS


def test_a_head_with_dropout_is_tested_as_one_without() -> None:
    plain, dropped = (
        make(HEADS, "bnneck", load_cfg(FOLDER / f"{name}.yml"), feat_dim=8, num_classes=3)
        for name in ("plain", "head_dropout")
    )
    dropped.load_state_dict(plain.state_dict())
    feat = torch.randn(16, 8)
    for mode in (True, False):  # neither feature meets the dropout, in training or test
        one, other = plain.train(mode)(feat), dropped.train(mode)(feat)
        assert torch.equal(one.feat, other.feat) and torch.equal(one.feat_bn, other.feat_bn)
        assert torch.equal(one.logits, other.logits) is not mode
