"""The defences that are compared: what each config adds, and that the shares are matched."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from reid.builders import make
from reid.config import difference, load_cfg, regularizer_of_stage
from reid.modeling import REGULARIZERS

FOLDER = Path(__file__).parents[1] / "configs/defences"
NAME, P = "MODEL.REGULARIZER.NAME", "MODEL.REGULARIZER.{}.P"
LFM = {NAME: "lfm"}
ERASING = {"INPUT.ERASING_PROB": 0.5}
ADVERSARIAL = {"SOLVER.ADVERSARIAL.ENABLED": True}
ADDED = {
    "plain": {},
    "erasing": ERASING,
    "lfm": LFM,
    "dropout": {NAME: "dropout", P.format("DROPOUT"): 0.0153},
    "spatial_dropout": {NAME: "spatial_dropout", P.format("SPATIAL_DROPOUT"): 0.0153},
    "dropblock": {NAME: "dropblock", P.format("DROPBLOCK"): 0.0153},
    "cutout": {NAME: "cutout", "MODEL.REGULARIZER.STAGES": ("input",)},
    "lgpr": {"INPUT.GRAYSCALE_PATCH_PROB": 0.4},
    "adversarial": ADVERSARIAL,
    "reranking": {"TEST.RE_RANKING": True, "TEST.WEIGHT": "outputs/defences/plain/last.pth"},
    "lfm_erasing": LFM | ERASING,
    "lfm_adversarial": LFM | ADVERSARIAL,
}
LFM_SHARE = 0.15 * 32 / 64 * 0.2042
# Of the map behind conv1, for a batch; spatial dropout, which knows no cells, gets more channels.
MAPS = {"lfm": (64, 64, 64, 32), "spatial_dropout": (64, 12800, 1, 1)}
PASSES = {"lfm": 1600, "dropblock": 3}  # until masked samples and blocks number thousands


def test_every_defence_is_listed_and_told_of() -> None:
    assert {path.stem for path in FOLDER.glob("*.yml")} == ADDED.keys()
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}.yml` |" in text for name in ADDED)


@pytest.mark.parametrize("name", ADDED)
def test_a_defence_is_the_plain_recipe_and_what_it_adds(name: str) -> None:
    plain, cfg = load_cfg(FOLDER / "plain.yml"), load_cfg(FOLDER / f"{name}.yml")
    found = {key: value for key, value, _ in difference(cfg, plain)}
    found.pop("OUTPUT_DIR", None)
    assert found == ADDED[name]


def test_the_plain_recipe_is_the_baseline_without_erasing() -> None:
    plain = load_cfg(FOLDER / "plain.yml")
    baseline = load_cfg(FOLDER.parent / "synthetic_baseline.yml")
    found = {key: value for key, value, _ in difference(plain, baseline)}
    assert found == {"INPUT.ERASING_PROB": 0.0, "OUTPUT_DIR": "outputs/defences/plain"}


def masked_cells(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Cells that one pass overwrites."""
    if hasattr(module, "num_channels"):  # the boxes of LFM say it; writing them takes longer
        boxes = module.draw(*shape)
        return int((boxes.height * boxes.width).sum())
    return int((module(torch.ones(shape)) == 0).sum())


@pytest.mark.parametrize("name", ["lfm", "dropout", "spatial_dropout", "dropblock"])
def test_rivals_overwrite_the_share_that_lfm_overwrites(name: str) -> None:
    cfg = load_cfg(FOLDER / f"{name}.yml")
    assert regularizer_of_stage(cfg) == {"conv1": name}
    module = make(REGULARIZERS, name, cfg)
    module.reseed(0)
    shape, passes = MAPS.get(name, MAPS["lfm"]), PASSES.get(name, 1)
    cells = sum(masked_cells(module, shape) for _ in range(passes))
    assert cells / (passes * math.prod(shape)) == pytest.approx(LFM_SHARE, rel=0.03)
