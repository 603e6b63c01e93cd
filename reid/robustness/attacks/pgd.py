"""Projected gradient ascent from random points."""

from torch import Tensor

from reid.robustness.attacks.ascent import ascend, best_of
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import Norm, make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import Count, Steps, StepSize, check_count, check_range


@ATTACKS.register("pgd")
class PGD(Attack):
    """Projected gradient descent on the negative loss, with random starts.

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks",
    arXiv:1706.06083.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Gradient steps of one start. ``steps * step`` should be at least 2, so that the steps
            can reach the other side of the ball.
        step: Size of a step in units of eps.
        restarts: Number of starts, at least 1; the best last image is kept, see ATTACK.CHOOSE_BY.
        random_start: Whether to start at a random point instead of the clean image.
        norm: ``linf``, or ``l2`` (root mean square over an image, see ``reid.robustness.ball``).
    """

    takes_stages = True

    def __init__(
        self,
        eps: float,
        steps: Steps = 20,
        step: StepSize = 0.25,
        restarts: Count = 1,
        random_start: bool = True,
        norm: Norm = "linf",
    ) -> None:
        check_count("steps", steps, least=0)
        check_count("restarts", restarts)
        check_range("step", step, 0, above=True)
        self.ball = make_ball(norm, eps)
        self.steps = steps
        self.step = step
        self.restarts = restarts
        self.random_start = random_start
        self.leaves_start = random_start
        self.compares = restarts > 1

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns for each image the last image of the best start, (B, 3, H, W).

        The arguments are those of :class:`reid.robustness.attacks.base.Attack`.
        """
        restarts = self.restarts if self.random_start else 1  # equal starts give equal results
        return best_of(loss, restarts, self._once, clean, rngs)

    def _once(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        # Without steps the result is the clean image, not noise.
        starts_at_random = self.random_start and self.steps > 0
        start = self.ball.sample(clean, rngs) if starts_at_random else clean
        return ascend(loss, start, clean, self.ball, self.steps, self.step)
