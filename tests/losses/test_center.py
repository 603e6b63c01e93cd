"""Center loss whose centers are buffers, against centers under a second optimizer."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn

from reid.losses.center import CenterLoss
from reid.utils.errors import InputError


def test_loss_by_hand() -> None:
    loss = CenterLoss(num_classes=2, feat_dim=2)
    loss.centers.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    feat = torch.tensor([[3.0, 4.0], [1.0, 3.0]])
    # (9 + 16 + 0 + 4) / 2, before the centers move.
    assert loss(feat, torch.tensor([0, 1])).item() == pytest.approx(14.5)


def test_step_by_hand() -> None:
    loss = CenterLoss(num_classes=2, feat_dim=1, lr=0.25)
    loss.centers.copy_(torch.tensor([[0.0], [7.0]]))
    loss(torch.tensor([[2.0], [4.0]]), torch.tensor([0, 0]))
    # d/dc of ((2 - c)^2 + (4 - c)^2) / 2 at 0 is -6; class 1 is absent.
    assert loss.centers.flatten().tolist() == [1.5, 7.0]


def test_center_equals_a_second_sgd() -> None:
    weight, lr = 0.0005, 0.5
    ours = CenterLoss(num_classes=5, feat_dim=8, lr=lr)
    centers = nn.Parameter(ours.centers.clone())
    encoders = [nn.Linear(6, 8), nn.Linear(6, 8)]
    encoders[1].load_state_dict(encoders[0].state_dict())
    first = [torch.optim.SGD(encoder.parameters(), lr=1.0) for encoder in encoders]
    second = torch.optim.SGD([centers], lr=lr)
    for _ in range(20):
        inputs, labels = torch.randn(12, 6), torch.randint(5, (12,))
        first[0].zero_grad()
        loss = ours(encoders[0](inputs), labels)
        (weight * loss).backward()
        first[0].step()

        first[1].zero_grad()
        second.zero_grad()
        expected = (encoders[1](inputs) - centers[labels]).pow(2).sum() / 12
        (weight * expected).backward()
        assert centers.grad is not None
        centers.grad *= 1 / weight
        first[1].step()
        second.step()
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(ours.centers, centers.detach())
    torch.testing.assert_close(encoders[0].weight, encoders[1].weight)


def test_centers_stay_in_evaluation() -> None:
    loss = CenterLoss(num_classes=3, feat_dim=4).eval()
    before = loss.centers.clone()
    loss(torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2]))
    assert torch.equal(loss.centers, before)


def test_centers_are_saved_but_not_trained_by_the_optimizer() -> None:
    loss = CenterLoss(num_classes=3, feat_dim=4)
    assert list(loss.state_dict()) == ["centers"]
    assert not list(loss.parameters())


def test_centers_start_normal_from_torchs_generator() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = torch.randn(4, 5)
        torch.manual_seed(3)
        assert torch.equal(CenterLoss(4, 5).centers, expected)


@pytest.mark.parametrize("lr", [-1.0, math.nan, math.inf])
def test_a_bad_learning_rate_is_refused(lr: float) -> None:
    with pytest.raises(InputError, match="lr must be at least 0"):
        CenterLoss(3, 4, lr)


FEAT = torch.arange(24.0).view(8, 3).sin()
LABELS = torch.tensor([0, 1, 2, 3, 0, 0, 1, 3])


def centers_after_a_step(feat: Tensor, labels: Tensor) -> Tensor:
    loss = CenterLoss(num_classes=4, feat_dim=3)
    loss.centers.zero_()
    loss(feat, labels)
    return loss.centers


def half_a_batch(rank: int, folder: str) -> None:
    """One of two processes."""
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    try:
        half = slice(4 * rank, 4 * rank + 4)
        torch.save(centers_after_a_step(FEAT[half], LABELS[half]), f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def test_two_processes_step_as_one_does_on_the_whole_batch(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(half_a_batch, args=(str(tmp_path),), nprocs=2)
    halves = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert torch.equal(*halves)
    torch.testing.assert_close(halves[0], centers_after_a_step(FEAT, LABELS))
