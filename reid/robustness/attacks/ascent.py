"""What several attacks share: a gradient per image, iterated steps, the better of two."""

from collections.abc import Callable

import torch
from torch import Tensor

from reid.robustness.attacks.base import Loss
from reid.robustness.ball import Ball

# A power of two changes no bit of fp32; without it gradients of fp16 are too small for its range.
SCALE = 2.0**10


def gradient(loss: Loss, images: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the loss (B,) and its gradient (B, 3, H, W) to the pixels alone.

    Losses of one batch do not touch each other, so the gradient of their sum holds each one's own.

    Args:
        loss: (B, 3, H, W) to (B,).
        images: (B, 3, H, W).
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        values = loss(images)
        (grad,) = torch.autograd.grad(values.sum() * SCALE, images)
    return values.detach(), grad / SCALE


def ascend(loss: Loss, start: Tensor, clean: Tensor, ball: Ball, steps: int, size: float) -> Tensor:
    """Makes projected steps up the gradient of the loss; returns (B, 3, H, W).

    Args:
        loss: (B, 3, H, W) to (B,).
        start: (B, 3, H, W), where the steps begin.
        clean: (B, 3, H, W), center of the ball.
        ball: Where images may be.
        steps: Number of steps.
        size: Size of a step in radii.
    """
    images = start
    for _ in range(steps):
        _, grad = gradient(loss, images)
        images = ball.project(ball.step(images, grad, size), clean)
    return images


def best_of(loss: Loss, attempts: int, attempt: Callable[[], Tensor]) -> Tensor:
    """Returns, image by image, the attempt with the greatest loss, (B, 3, H, W).

    The first of equal ones.

    Args:
        loss: (B, 3, H, W) to (B,).
        attempts: How many.
        attempt: Makes one, (B, 3, H, W).
    """
    best = attempt()
    if attempts == 1:
        return best
    with torch.no_grad():
        values = loss(best)
        for _ in range(attempts - 1):
            images = attempt()
            best, values = better(best, values, images, loss(images))
    return best


def better(a: Tensor, a_loss: Tensor, b: Tensor, b_loss: Tensor) -> tuple[Tensor, Tensor]:
    """Returns, image by image, that of greater loss, and the greater loss; ``a`` if equal.

    Args:
        a: (B, 3, H, W) images.
        a_loss: (B,) their losses.
        b: (B, 3, H, W) other images.
        b_loss: (B,) their losses.
    """
    wins = b_loss > a_loss
    return torch.where(wins[:, None, None, None], b, a), torch.where(wins, b_loss, a_loss)
