"""A long run holds no more than a short one."""

import gc
import logging
import os
from pathlib import Path

import torch

from reid import builders
from reid.config import load_cfg
from reid.synthetic import ensure_synthetic

ROOT = Path(__file__).parents[1]
SETTINGS = [
    "DATASETS.SYNTHETIC.PRESET", "tiny",
    "INPUT.SIZE_TRAIN", "(64,32)",
    "INPUT.SIZE_TEST", "(64,32)",
    "SOLVER.IMS_PER_BATCH", "16",
    "SOLVER.MAX_EPOCHS", "1000",
    "SOLVER.ACCUMULATE", "2",
    "LOSS.NAMES", "('ce','triplet','center')",
    "LOSS.WEIGHTS", "(1.0,1.0,0.0005)",
]  # fmt: skip


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def live_tensors() -> int:
    gc.collect()
    # By type: isinstance asks some objects for their class, and a deprecated one of torch warns.
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def test_memory_stays_flat_over_200_steps(tmp_path: Path) -> None:
    ensure_synthetic(tmp_path, "tiny", 0)
    places = ["DATASETS.ROOT_DIR", str(tmp_path), "OUTPUT_DIR", str(tmp_path / "out")]
    cfg = load_cfg(ROOT / "configs/synthetic_lfm.yml", [*SETTINGS, *places])
    trainer = builders.build_trainer(cfg, logging.getLogger("test"))
    steps = epoch = 0
    found = []
    for until in (100, 200):
        while steps < until:
            epoch += 1
            trainer.sampler.set_epoch(epoch)
            trainer.train_epoch(epoch)
            steps += len(trainer.loader)
        trainer.evaluate()
        found.append((live_tensors(), resident()))
    (tensors, early), (later_tensors, late) = found
    assert later_tensors == tensors
    # A batch is 96 KiB and the activations of a step some MiB: one kept a step would show.
    assert late - early < 32 * 2**20
