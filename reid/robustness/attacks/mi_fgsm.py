"""Iterated sign steps with momentum."""

from typing import Annotated

import torch
from torch import Tensor

from reid.robustness.attacks.ascent import gradient
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import Range, Steps, StepSize, check_count, check_range


@ATTACKS.register("mi_fgsm")
class MIFGSM(Attack):
    """Momentum iterative FGSM: the sign of a decaying sum of gradients, each scaled to length 1.

    Source: Dong et al., "Boosting Adversarial Attacks with Momentum", arXiv:1710.06081.
    Differs: a zero gradient adds nothing. The division by its length would make the momentum NaN,
    and the image would never move again.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Number of steps.
        step: Size of a step in units of eps.
        decay: Factor by which the momentum is multiplied at each step.
    """

    def __init__(
        self,
        eps: float,
        steps: Steps = 10,
        step: StepSize = 0.25,
        decay: Annotated[float, Range(0, 10)] = 1.0,
    ) -> None:
        check_count("steps", steps, least=0)
        check_range("step", step, 0, above=True)
        check_range("decay", decay, 0)
        self.ball = make_ball("linf", eps)
        self.steps = steps
        self.step = step
        self.decay = decay

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns the images after all steps, (B, 3, H, W); uses no random numbers.

        The arguments are those of :class:`reid.robustness.attacks.base.Attack`.
        """
        images = clean
        momentum = torch.zeros_like(clean)
        for _ in range(self.steps):
            _, grad = gradient(loss, images)
            length = grad.abs().mean((1, 2, 3), keepdim=True)
            direction = torch.where(length > 0, grad / length.clamp(min=1e-38), 0)
            momentum = momentum.mul_(self.decay).add_(direction)
            images = self.ball.project(self.ball.step(images, momentum, self.step), clean)
        return images
