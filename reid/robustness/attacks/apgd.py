"""Projected gradient ascent that sets its own step size."""

import math

import torch
from torch import Tensor

from reid.robustness.attacks.ascent import best_of, better, gradient
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import Count, check_count

MOMENTUM = 0.75  # alpha of the paper: weight of the new step
ENOUGH = 0.75  # rho: the fraction of rising steps between checkpoints that keeps the step size


@ATTACKS.register("apgd")
class APGD(Attack):
    """Auto-PGD: steps with momentum; the step size of an image is halved when progress stalls.

    It returns the point of greatest loss that it visited. The random start is such a point, the
    clean image is not: in retrieval no image is "already misclassified".

    Source: Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", arXiv:2003.01690, algorithm 1.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Gradient steps of one start, at least 1.
        restarts: Number of random starts, at least 1.
    """

    compares = True
    leaves_start = True

    def __init__(self, eps: float, steps: Count = 100, restarts: Count = 1) -> None:
        check_count("steps", steps)
        check_count("restarts", restarts)
        self.ball = make_ball("linf", eps)
        self.steps = steps
        self.restarts = restarts

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns for each image the point of greatest loss of its best start, (B, 3, H, W).

        The arguments are those of :class:`reid.robustness.attacks.base.Attack`.
        """
        return best_of(loss, self.restarts, self._once, clean, rngs)

    def _once(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        images = before = self.ball.sample(clean, rngs)
        values, grad = gradient(loss, images)
        best = images
        best_values = values
        best_grad = grad
        size = torch.full_like(values, 2.0)
        rises = torch.zeros_like(values)
        halved = torch.zeros_like(values, dtype=torch.bool)
        values_at_checkpoint = values
        judged = checkpoints(self.steps)
        for step in range(1, self.steps):
            images, before = self._move(images, before, grad, size, clean), images
            values_before = values
            values, grad = gradient(loss, images)
            rises += values > values_before
            best_grad = torch.where(_per_image(values > best_values), grad, best_grad)
            best, best_values = better(best, best_values, images, values)
            if step in judged:
                stalls = rises < ENOUGH * (step - max([0, *(s for s in judged if s < step)]))
                halved = stalls | (~halved & (best_values <= values_at_checkpoint))
                size = torch.where(halved, size / 2, size)
                # After halving, the search continues from the best point, without momentum.
                images = torch.where(_per_image(halved), best, images)
                before = torch.where(_per_image(halved), best, before)
                grad = torch.where(_per_image(halved), best_grad, grad)
                values = torch.where(halved, best_values, values)
                values_at_checkpoint = best_values
                rises = torch.zeros_like(rises)
        last = self._move(images, before, grad, size, clean)
        with torch.no_grad():  # the gradient at the last point is not used
            return better(best, best_values, last, loss(last))[0]

    def _move(
        self, images: Tensor, before: Tensor, grad: Tensor, size: Tensor, clean: Tensor
    ) -> Tensor:
        """Makes a step with momentum; the first step has none, because there is no step before."""
        target = self.ball.project(self.ball.step(images, grad, _per_image(size)), clean)
        if before is images:
            return target
        moved = images + MOMENTUM * (target - images) + (1 - MOMENTUM) * (images - before)
        return self.ball.project(moved, clean)


def checkpoints(steps: int) -> set[int]:
    """Returns the steps at which progress is judged (section 3 of the paper)."""
    fractions = [0.0, 0.22]
    width = 0.22
    while fractions[-1] < 1:
        width = max(width - 0.03, 0.06)
        fractions.append(fractions[-1] + width)
    return {math.ceil(round(fraction * steps, 6)) for fraction in fractions[1:]}


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]
