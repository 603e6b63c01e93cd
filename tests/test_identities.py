"""A loss that compares identities needs two of them in a batch."""

from pathlib import Path

import pytest

from reid.builders.model import build_criterion
from reid.builders.trainer import check_identities
from reid.config import load_cfg
from reid.data.samplers import PKSampler
from reid.utils.errors import InputError

CONFIG = Path(__file__).parents[1] / "configs/market_lfm.yml"


@pytest.mark.parametrize(
    ("num_ids", "world_size", "gather", "refused"),
    [(2, 1, False, False), (1, 1, False, True), (1, 2, False, True), (1, 2, True, False)],
)
def test_a_loss_on_pairs_needs_two_identities_where_it_looks(
    num_ids: int,
    world_size: int,
    gather: bool,
    refused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reid.utils.distributed.world_size", lambda: world_size)
    cfg = load_cfg(CONFIG, ["MODEL.DEVICE", "cpu", "LOSS.TRIPLET.GATHER", str(gather)])
    labels = [0] * 5 + [1] * 3 + [2] * 2
    sampler = PKSampler(labels, num_ids, 2, seed=0, world_size=world_size)
    criterion = build_criterion(cfg, 3, 4)
    if not refused:
        check_identities(criterion, sampler, labels, cfg)
        return
    with pytest.raises(InputError, match=r"^LOSS.NAMES: triplet compares different identities"):
        check_identities(criterion, sampler, labels, cfg)
    only_ce = load_cfg(
        CONFIG, ["MODEL.DEVICE", "cpu", "LOSS.NAMES", "[ce]", "LOSS.WEIGHTS", "[1.0]"]
    )
    check_identities(build_criterion(only_ce, 3, 4), sampler, labels, only_ce)
