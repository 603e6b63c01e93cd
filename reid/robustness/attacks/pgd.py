"""Projected gradient ascent from random points."""

from torch import Tensor

from reid.robustness.attacks.ascent import ascend, best_of
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import Norm, make_ball
from reid.robustness.rngs import ImageRNGs
from reid.utils.checks import check_count, check_range


@ATTACKS.register("pgd")
class PGD(Attack):
    """Projected gradient descent on the negative loss, with random starts and restarts.

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks",
    arXiv:1706.06083.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        steps: Gradient steps of one start. ``steps * step`` should be 2 at least, or the far side
            of the ball is out of reach.
        step: Size of a step in units of eps.
        restarts: Starts, of whose ends the one with the greatest loss is kept.
        random_start: Whether to begin at a random point instead of the clean image.
        norm: ``linf``, or ``l2`` (root mean square over an image, see ``reid.robustness.ball``).
    """

    def __init__(
        self,
        eps: float,
        steps: int = 20,
        step: float = 0.25,
        restarts: int = 1,
        random_start: bool = True,
        norm: Norm = "linf",
    ) -> None:
        check_count("steps", steps, least=0)
        check_count("restarts", restarts)
        check_range("step", step, 0, above=True)
        self.ball, self.steps, self.step = make_ball(norm, eps), steps, step
        self.restarts, self.random_start = restarts, random_start
        self.leaves_start, self.compares = random_start, restarts > 1

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns (B, 3, H, W): of each image the end of that start whose loss is greatest."""
        restarts = self.restarts if self.random_start else 1  # the same start has the same end
        return best_of(loss, restarts, lambda: self._once(loss, clean, rngs))

    def _once(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        walks = self.random_start and self.steps > 0  # no steps: the clean image, not noise
        start = self.ball.sample(clean, rngs) if walks else clean
        return ascend(loss, start, clean, self.ball, self.steps, self.step)
