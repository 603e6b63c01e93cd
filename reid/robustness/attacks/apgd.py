"""Projected gradient ascent that sets its own step size."""

import math

import torch
from torch import Tensor

from reid.robustness.attacks.ascent import best_of, better, gradient
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import check_count

MOMENTUM = 0.75  # alpha of the paper: share of the new step
ENOUGH = 0.75  # rho: share of rising steps between checkpoints that keeps the step size


@ATTACKS.register("apgd")
class APGD(Attack):
    """Auto-PGD: momentum, and a step that is halved, image by image, where progress stalls.

    It returns the point of greatest loss that it met, the random start included and the clean
    image never: in retrieval there is no "already misclassified".

    Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", arXiv:2003.01690, algorithm 1.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Gradient steps of one start, at least 1.
        restarts: Random starts.
    """

    compares = True
    leaves_start = True

    def __init__(self, eps: float, steps: int = 100, restarts: int = 1) -> None:
        check_count("steps", steps)
        check_count("restarts", restarts)
        self.ball, self.steps, self.restarts = make_ball("linf", eps), steps, restarts

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns (B, 3, H, W): of each image the point of greatest loss that any start met."""
        return best_of(loss, self.restarts, lambda: self._once(loss, clean, rngs))

    def _once(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        images = before = self.ball.sample(clean, rngs)
        values, grad = gradient(loss, images)
        best, best_values, best_grad = images, values, grad
        size, rises = torch.full_like(values, 2.0), torch.zeros_like(values)
        halved, mark = torch.zeros_like(values, dtype=torch.bool), values
        dates = checkpoints(self.steps)
        for step in range(1, self.steps):
            images, before = self._move(images, before, grad, size, clean), images
            old, (values, grad) = values, gradient(loss, images)
            rises += values > old
            best_grad = torch.where(_wide(values > best_values), grad, best_grad)
            best, best_values = better(best, best_values, images, values)
            if step in dates:
                stalls = rises < ENOUGH * (step - max([0, *(d for d in dates if d < step)]))
                halved = stalls | (~halved & (best_values <= mark))
                size = torch.where(halved, size / 2, size)
                # A halved step goes on from the best point, without the old momentum.
                images = torch.where(_wide(halved), best, images)
                before = torch.where(_wide(halved), best, before)
                grad = torch.where(_wide(halved), best_grad, grad)
                values = torch.where(halved, best_values, values)
                mark, rises = best_values, torch.zeros_like(rises)
        last = self._move(images, before, grad, size, clean)
        with torch.no_grad():  # nobody follows the last gradient
            return better(best, best_values, last, loss(last))[0]

    def _move(
        self, images: Tensor, before: Tensor, grad: Tensor, size: Tensor, clean: Tensor
    ) -> Tensor:
        """Makes a step with momentum; the first one has none, for nothing came before it."""
        target = self.ball.project(self.ball.step(images, grad, _wide(size)), clean)
        if before is images:
            return target
        moved = images + MOMENTUM * (target - images) + (1 - MOMENTUM) * (images - before)
        return self.ball.project(moved, clean)


def checkpoints(steps: int) -> set[int]:
    """Returns the steps after which progress is judged (section 3 of the paper)."""
    shares, width = [0.0, 0.22], 0.22
    while shares[-1] < 1:
        width = max(width - 0.03, 0.06)
        shares.append(shares[-1] + width)
    return {math.ceil(round(share * steps, 6)) for share in shares[1:]}


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]
