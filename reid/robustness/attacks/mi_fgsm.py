"""Iterated sign steps with momentum."""

import torch
from torch import Tensor

from reid.robustness.attacks.ascent import gradient
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import check_count, check_range


@ATTACKS.register("mi_fgsm")
class MIFGSM(Attack):
    """Momentum iterative FGSM: the sign of a decaying sum of gradients, each scaled to length 1.

    Source: Dong et al., "Boosting Adversarial Attacks with Momentum", arXiv:1710.06081.
    Differs: a zero gradient adds nothing; divided by its length of zero it would make the
    momentum NaN, whose sign never moves the image again.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Their number.
        step: Size of a step in units of eps.
        decay: What is kept of the momentum at each step.
    """

    def __init__(self, eps: float, steps: int = 10, step: float = 0.25, decay: float = 1.0) -> None:
        check_count("steps", steps, least=0)
        check_range("step", step, 0, above=True)
        self.ball, self.steps, self.step = make_ball("linf", eps), steps, step
        self.decay = decay

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns the perturbed images, (B, 3, H, W); draws nothing."""
        images, momentum = clean, torch.zeros_like(clean)
        for _ in range(self.steps):
            _, grad = gradient(loss, images)
            length = grad.abs().mean((1, 2, 3), keepdim=True)
            unit = torch.where(length > 0, grad / length.clamp(min=1e-38), 0)
            momentum = momentum.mul_(self.decay).add_(unit)
            images = self.ball.project(self.ball.step(images, momentum, self.step), clean)
        return images
