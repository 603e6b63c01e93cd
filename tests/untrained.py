"""A checkpoint that nobody trained: features depend on it as on a trained one."""

from collections.abc import Sequence
from pathlib import Path

import torch
from commands import ROOT, TINY
from torch import nn

from reid.builders.model import build_model
from reid.config import dump, load_cfg
from reid.engine import checkpoint as ckpt


def write_checkpoint(path: Path, root: Path, overrides: Sequence[str] = (), seed: int = 0) -> Path:
    """Writes a checkpoint of the tiny recipe with random weights; its features tell pictures apart.

    Args:
        path: The file.
        root: DATASETS.ROOT_DIR.
        overrides: Settings that go before those of the recipe.
        seed: Of the pictures that its statistics are of; another seed is another model.
    """
    settings = [*TINY, "DATASETS.ROOT_DIR", str(root), "MODEL.DEVICE", "cpu", *overrides]
    cfg = load_cfg(ROOT / "configs/synthetic_lfm.yml", settings)
    model = build_model(cfg, 4, pretrained=False)
    _settle(model, seed)
    ckpt.save(path, model, 3, dump(cfg), [0, 1, 2, 3], {})
    return path


def _settle(model: nn.Module, seed: int) -> None:
    """Gives batch normalization the statistics of pictures: else all features are the same."""
    dice = torch.Generator().manual_seed(seed)
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
            module.momentum = None  # the mean of all batches
    with torch.no_grad():
        model(torch.rand(32, 3, 64, 32, generator=dice))
