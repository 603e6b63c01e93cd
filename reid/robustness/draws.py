"""Losses of models that are random at test time: the mean over several draws of the model.

Source: Athalye et al., "Synthesizing Robust Adversarial Examples", arXiv:1707.07397 (EOT).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from reid.robustness.attacks.base import Loss
from reid.robustness.attacks.search import StagedLoss


class ExpectedLoss:
    """The mean of a loss over draws of a random model, each with a seed of its own.

    Value and gradient are summed draw by draw, so that memory does not grow with their number.

    Args:
        loss: (B, 3, H, W) in [0, 1] -> (B,).
        model: What is random.
        draws: Number of draws of each call; no two calls share one.
        seed: Seed of the first draw; those after it count on.
    """

    def __init__(self, loss: Loss, model: nn.Module, draws: int, seed: int = 0) -> None:
        self.loss = loss
        self.model = model
        self.draws = draws
        self.seed = seed

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the mean loss, (B,), of (B, 3, H, W) in [0, 1]."""
        fixed = images.detach().requires_grad_(images.requires_grad)
        total = torch.zeros(len(images), device=images.device)
        slope = torch.zeros_like(images)
        for _ in range(self.draws):
            with seeded(self.model, self.seed):
                values = self.loss(fixed)
            self.seed += 1
            if values.requires_grad:
                slope += torch.autograd.grad(values.sum(), fixed)[0] / self.draws
            total = total + values.detach() / self.draws
        # The value of the mean; its derivative is the slope.
        return total + (slope * (images - fixed.detach())).flatten(1).sum(1)


def mean_over_draws(loss: Loss, model: nn.Module, draws: int, seed: int = 0) -> Loss:
    """Returns the mean of a loss, (B, 3, H, W) -> (B,), over draws of a random model.

    Args:
        loss: The loss; each stage is a mean of its own.
        model: What is random.
        draws: Number of draws; 1 returns the loss as it is.
        seed: Seed of the first draw.
    """
    if draws == 1:
        return loss
    if isinstance(loss, StagedLoss):
        return StagedLoss([ExpectedLoss(stage, model, draws, seed) for stage in loss.stages])
    return ExpectedLoss(loss, model, draws, seed)


@contextmanager
def seeded(model: nn.Module, seed: int) -> Iterator[None]:
    """Starts all randomness of a model anew; torch's own generators are put back afterwards.

    Parts with generators of their own have a method ``reseed``, as regularizers do.

    Args:
        model: The model.
        seed: Non-negative.
    """
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for module in model.modules():
            if hasattr(module, "reseed"):
                module.reseed(seed)  # type: ignore[operator]
        yield
