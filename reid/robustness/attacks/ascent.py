"""Functions that several attacks use: gradient per image, iterated steps, the better image."""

from collections.abc import Callable

import torch
from torch import Tensor

from reid.robustness.attacks.base import Loss
from reid.robustness.ball import Ball

# Without scaling, fp16 gradients underflow. A power of two does not change the bits of fp32.
SCALE = 2.0**10


def gradient(loss: Loss, images: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the loss, (B,), and its gradient with respect to the pixels, (B, 3, H, W).

    The loss of an image depends on no other image, so the gradient of the sum is the gradient of
    each loss.

    Args:
        loss: Maps (B, 3, H, W) to (B,).
        images: (B, 3, H, W) in [0, 1].
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        values = loss(images)
        (grad,) = torch.autograd.grad(values.sum() * SCALE, images)
    return values.detach(), grad / SCALE


def ascend(loss: Loss, start: Tensor, clean: Tensor, ball: Ball, steps: int, size: float) -> Tensor:
    """Makes projected steps along the gradient of the loss; returns the last images, (B, 3, H, W).

    Args:
        loss: Maps (B, 3, H, W) to (B,).
        start: (B, 3, H, W) in [0, 1], the first images.
        clean: (B, 3, H, W) in [0, 1], the centers of the ball.
        ball: The allowed images.
        steps: Number of steps.
        size: Size of a step in units of the radius of the ball.
    """
    images = start
    for _ in range(steps):
        _, grad = gradient(loss, images)
        images = ball.project(ball.step(images, grad, size), clean)
    return images


def best_of(loss: Loss, attempts: int, attempt: Callable[[], Tensor]) -> Tensor:
    """Returns for each image the attempt with the greatest loss, (B, 3, H, W); the first of equals.

    Args:
        loss: Maps (B, 3, H, W) to (B,).
        attempts: Number of attempts, at least 1.
        attempt: Returns the images of one attempt, (B, 3, H, W).
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
    """Returns for each image the one of greater loss, (B, 3, H, W), and that loss, (B,).

    If the losses are equal, it is the image of ``a``.

    Args:
        a: (B, 3, H, W) images.
        a_loss: (B,) their losses.
        b: (B, 3, H, W) other images.
        b_loss: (B,) their losses.
    """
    wins = b_loss > a_loss
    return torch.where(wins[:, None, None, None], b, a), torch.where(wins, b_loss, a_loss)
