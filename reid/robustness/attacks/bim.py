"""Iterated steps from the clean image; their number follows the rule of the paper."""

from typing import Annotated

from torch import Tensor

from reid.robustness.attacks.ascent import ascend
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import LEVELS, make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import Range, Steps, check_count, check_range


@ATTACKS.register("bim")
class BIM(Attack):
    """Basic iterative method, I-FGSM: sign steps from the clean image.

    Source: Kurakin et al., "Adversarial examples in the physical world", arXiv:1607.02533.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Number of steps; 0 is the rule of the paper, min(eps + 4, 1.25 eps) in levels,
            rounded down, at least 1.
        step: Size of a step in units of eps; 0 is that of the paper, one level of a pixel.
    """

    takes_stages = True

    def __init__(
        self, eps: float, steps: Steps = 0, step: Annotated[float, Range(0, 100)] = 0.0
    ) -> None:
        check_count("steps", steps, least=0)
        check_range("step", step, 0)
        levels = eps * LEVELS
        self.ball = make_ball("linf", eps)
        self.step = step or (1 / LEVELS / eps if eps else 1.0)
        self.steps = steps or max(1, int(min(levels + 4, 1.25 * levels) + 1e-6))

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns the images after all steps, (B, 3, H, W); uses no random numbers.

        The arguments are those of :class:`reid.robustness.attacks.base.Attack`.
        """
        if self.ball.eps == 0:
            return clean
        return ascend(loss, clean, clean, self.ball, self.steps, self.step)
