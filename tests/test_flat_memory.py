"""A long run holds no more than a short one."""

import ctypes
import gc
import logging
from pathlib import Path

import narrow
import pytest
import torch
import torchvision
from torch import Tensor

from reid import builders
from reid.config import load_cfg

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


class HeapFacts(ctypes.Structure):
    """What glibc's mallinfo2() returns."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def bytes_in_use() -> int:
    """Bytes that are allocated now.

    Not the resident pages: those depend on how much room earlier tests have left in the heap, which
    a leak can fill without a new page.
    """
    facts_of_heap = ctypes.CDLL(None).mallinfo2
    facts_of_heap.restype = HeapFacts
    facts = facts_of_heap()
    return int(facts.uordblks + facts.hblkhd)


def living() -> list[Tensor]:
    gc.collect()
    # By type: isinstance asks some objects for their class, and a deprecated one of torch warns.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), Tensor)]


class Made:
    """Counts the tensors made since it was.

    It holds what other tests have left, so that nothing of that dies between two counts, and its
    ids become no other tensor's.
    """

    def __init__(self) -> None:
        self._others = living()

    def __len__(self) -> int:
        others = {id(tensor) for tensor in self._others}
        return sum(id(tensor) not in others for tensor in living())


def test_a_tensor_that_is_kept_is_counted_and_one_that_others_let_go_is_not() -> None:
    others = [torch.ones(1) for _ in range(3)]
    made = Made()
    kept = [torch.ones(1) for _ in range(2)]
    assert len(made) == 2
    others.clear()
    assert len(made) == 2
    kept.append(torch.ones(1))
    assert len(made) == 3


def test_a_megabyte_that_is_kept_is_measured_even_where_the_heap_has_room() -> None:
    room = [bytearray(2**16) for _ in range(64)]
    del room
    before = bytes_in_use()
    kept = [bytearray(2**16) for _ in range(16)]
    assert bytes_in_use() - before >= 16 * 2**16
    del kept


def test_memory_stays_flat_over_200_steps(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.models, "resnet18", narrow.resnet18)
    made = Made()
    places = ["DATASETS.ROOT_DIR", str(data), "OUTPUT_DIR", str(tmp_path / "out")]
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
        found.append((len(made), bytes_in_use()))
    (tensors, early), (later_tensors, late) = found
    assert later_tensors == tensors
    # A batch is 96 KiB, and so 9 MiB would be more if each step kept its batch alone.
    assert late - early < 4 * 2**20
