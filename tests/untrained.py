"""A checkpoint that nobody trained: features depend on it as on a trained one."""

from collections.abc import Sequence
from pathlib import Path

import torch
from commands import ROOT, TINY

from reid.builders.model import build_model
from reid.config import dump, load_cfg
from reid.engine import checkpoint as ckpt


def write_checkpoint(path: Path, root: Path, overrides: Sequence[str] = (), seed: int = 0) -> Path:
    """Writes a checkpoint of the tiny recipe with random weights and statistics.

    Args:
        path: The file.
        root: DATASETS.ROOT_DIR.
        overrides: Settings that go before those of the recipe.
        seed: Of the statistics; another seed is another model.
    """
    settings = [*TINY, "DATASETS.ROOT_DIR", str(root), "MODEL.DEVICE", "cpu", *overrides]
    cfg = load_cfg(ROOT / "configs/synthetic_lfm.yml", settings)
    model = build_model(cfg, 4, pretrained=False)
    dice = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            value.copy_(0.5 + torch.rand(value.shape, generator=dice))
    ckpt.save(path, model, 3, dump(cfg), [0, 1, 2, 3], {})
    return path
