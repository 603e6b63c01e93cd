"""Functions that several attacks use: gradient per image, iterated steps, the better image."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from reid.robustness.attacks.base import Loss
from reid.robustness.attacks.search import Search, StagedLoss, part
from reid.robustness.ball import Ball
from reid.robustness.rngs import ImageRNGs

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

    Images that a :class:`reid.robustness.attacks.search.Search` has finished with stay where they
    are.

    Args:
        loss: Maps (B, 3, H, W) to (B,).
        start: (B, 3, H, W) in [0, 1], the first images.
        clean: (B, 3, H, W) in [0, 1], the centers of the ball.
        ball: The allowed images.
        steps: Number of steps.
        size: Size of a step in units of the radius of the ball.
    """
    images = start
    found = start
    rows: Tensor | None = None  # where the images are in the result; None: the same places
    for step in range(steps):
        stage = stage_at(loss, step, steps)
        _, grad = gradient(stage, images)
        left = left_of(loss, stage)
        if left is not None:
            found = images.clone() if rows is None else found.index_copy(0, rows, images)
            rows = left if rows is None else rows[left]
            images, grad, clean = (part(x, left) for x in (images, grad, clean))
            if not len(left):
                break
            loss = part_of(loss, left)
        images = ball.project(ball.step(images, grad, size), clean)
    return images if rows is None else found.index_copy(0, rows, images)


def stage_at(loss: Loss, step: int, steps: int) -> Loss:
    """Returns the loss that a step raises.

    Args:
        loss: Of one stage or of several.
        step: Number of the step, from 0.
        steps: Number of all steps.
    """
    inner = loss.loss if isinstance(loss, Search) else loss
    return inner.at(step, steps) if isinstance(inner, StagedLoss) else inner


# (loss, clean images, their generators) -> images
Attempt: TypeAlias = Callable[[Loss, Tensor, ImageRNGs], Tensor]


def best_of(loss: Loss, attempts: int, attempt: Attempt, clean: Tensor, rngs: ImageRNGs) -> Tensor:
    """Returns for each image the best attempt, (B, 3, H, W); the first one of equals.

    The best one is that of the greatest score of a :class:`reid.robustness.attacks.search.Search`,
    else that of the greatest loss.

    Args:
        loss: Maps (B, 3, H, W) to (B,).
        attempts: Number of attempts, at least 1.
        attempt: Returns the images of one attempt, (B, 3, H, W).
        clean: (B, 3, H, W) in [0, 1], the clean images.
        rngs: A generator for each image.
    """
    best = attempt(loss, clean, rngs)
    if attempts == 1:
        return best
    rows = torch.arange(len(best), device=best.device)
    with torch.no_grad():
        values = score_of(loss)(best)
        for _ in range(attempts - 1):
            left = left_of(loss, score_of(loss))
            if left is not None:
                if not len(left):
                    break
                rows, clean, rngs = rows[left], part(clean, left), rngs.of(left)
                loss = part_of(loss, left)
            images = attempt(loss, clean, rngs)
            scores = score_of(loss)(images)
            images, scores = better(part(best, rows), values[rows], images, scores)
            best = best.index_copy(0, rows, images)
            values = values.index_copy(0, rows, scores)
    return best


def left_of(loss: Loss, asked: Loss) -> Tensor | None:
    """Returns, (S,) int64, the images that can still get worse; None: all of them.

    Args:
        loss: The loss of the search.
        asked: The loss, stage or score that has just seen the images.
    """
    return loss.left(asked) if isinstance(loss, Search) else None


def part_of(loss: Loss, rows: Tensor) -> Loss:
    """Returns the loss of some of the images.

    Args:
        loss: The loss of a search.
        rows: (S,) int64.
    """
    return loss.of(rows) if isinstance(loss, Search) else loss


def score_of(loss: Loss) -> Loss:
    """Returns what images are compared by: the loss itself, unless it says something else."""
    return loss.score if isinstance(loss, Search) else loss


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
