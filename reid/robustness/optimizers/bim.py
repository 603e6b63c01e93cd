"""Iterated steps from the clean image, with the historic rule for their number."""

from torch import Tensor

from reid.robustness.ball import LEVELS, make_ball
from reid.robustness.draws import Draws
from reid.robustness.optimizers.ascent import ascend, check_count, check_step
from reid.robustness.optimizers.registry import OPTIMIZERS, Loss


@OPTIMIZERS.register("bim")
class BIM:
    """Basic iterative method, I-FGSM: sign steps of a fixed number of levels, no random start.

    Source: Kurakin et al., "Adversarial examples in the physical world", arXiv:1607.02533.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Their number; 0 is the rule of the paper, min(eps + 4, 1.25 eps) in levels, rounded
            down, at least 1.
        step_255: Size of a step in levels of a pixel.
    """

    uses_gradient, compares = True, False
    leaves_start = False

    def __init__(self, eps: float, steps: int = 0, step_255: float = 1.0) -> None:
        check_count("bim", "steps", steps, least=0)
        check_step("bim", "step_255", step_255)
        levels = eps * LEVELS
        self.ball, self.step_255 = make_ball("linf", eps), step_255
        self.steps = steps or max(1, int(min(levels + 4, 1.25 * levels) + 1e-6))

    def __call__(self, loss: Loss, clean: Tensor, draws: Draws) -> Tensor:
        """Returns the perturbed images; draws nothing."""
        if self.ball.eps == 0:
            return clean
        size = self.step_255 / LEVELS / self.ball.eps
        return ascend(loss, clean, clean, self.ball, self.steps, size)
