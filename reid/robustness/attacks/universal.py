"""One perturbation for all images."""

from collections.abc import Callable

import torch
from torch import Tensor

from reid.robustness.attacks.ascent import gradient, stage_at
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import Steps, StepSize, check_count, check_range

# (F, 3, H, W) perturbations and the number of the step -> their (F, 3, H, W) gradients
Slope = Callable[[Tensor, int], Tensor]


@ATTACKS.register("universal")
class Universal(Attack):
    """A universal perturbation: sign steps along the gradient of the losses of all images together.

    An evaluation learns it on the images of half of the identities and shows it to the others, see
    :mod:`reid.robustness.universal`; called on a batch, it learns it on that batch.

    Source: Moosavi-Dezfooli et al., "Universal adversarial perturbations", arXiv:1610.08401, for
    the threat; the ascent is that of Shafahi et al., "Universal Adversarial Training",
    arXiv:1811.11304, with all images in each step.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Number of steps, each a pass over the images that it is learned on.
        step: Size of a step in units of eps.
    """

    takes_stages = True

    def __init__(self, eps: float, steps: Steps = 20, step: StepSize = 0.25) -> None:
        check_count("steps", steps, least=0)
        check_range("step", step, 0, above=True)
        self.ball = make_ball("linf", eps)
        self.steps = steps
        self.step = step

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns the images with one perturbation, learned on them, (B, 3, H, W).

        The arguments are those of :class:`reid.robustness.attacks.base.Attack`.
        """

        def slope(shared: Tensor, step: int) -> Tensor:
            stage = stage_at(loss, step, self.steps)
            return gradient(stage, self.apply(clean, shared))[1].sum(0, keepdim=True)

        return self.apply(clean, self.learn(slope, torch.zeros_like(clean[:1])))

    def apply(self, clean: Tensor, shared: Tensor) -> Tensor:
        """Returns the images with their perturbations, (B, 3, H, W), cut to [0, 1].

        Args:
            clean: (B, 3, H, W) in [0, 1].
            shared: (1, 3, H, W), or one for each image.
        """
        return self.ball.project(clean + shared, clean)

    def learn(self, slope: Slope, start: Tensor) -> Tensor:
        """Returns perturbations after all steps, (F, 3, H, W), each value within eps.

        Args:
            slope: The gradients of perturbations.
            start: (F, 3, H, W), the first perturbations.
        """
        shared = start
        for step in range(self.steps):
            moved = self.ball.step(shared, slope(shared, step), self.step)
            shared = moved.clamp(-self.ball.eps, self.ball.eps)
        return shared
