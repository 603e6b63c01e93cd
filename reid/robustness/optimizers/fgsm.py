"""One step."""

from torch import Tensor

from reid.robustness.ball import make_ball
from reid.robustness.draws import Draws
from reid.robustness.optimizers.ascent import ascend
from reid.robustness.optimizers.registry import OPTIMIZERS, Loss


@OPTIMIZERS.register("fgsm")
class FGSM:
    """Fast gradient sign method: one step to the border of the L-infinity ball.

    Source: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", arXiv:1412.6572.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        random_start: Begin at a random point of the ball and step 1.25 eps, as Wong et al. do in
            "Fast is better than free", arXiv:2001.03994; for objectives whose gradient at the clean
            image is zero.
    """

    uses_gradient, compares = True, False

    def __init__(self, eps: float, random_start: bool = False) -> None:
        self.ball, self.random_start = make_ball("linf", eps), random_start

    @property
    def leaves_start(self) -> bool:
        """See :class:`reid.robustness.optimizers.registry.Optimizer`."""
        return self.random_start

    def __call__(self, loss: Loss, clean: Tensor, draws: Draws) -> Tensor:
        """Returns the perturbed images."""
        if self.random_start:
            return ascend(loss, self.ball.sample(clean, draws), clean, self.ball, 1, 1.25)
        return ascend(loss, clean, clean, self.ball, 1, 1.0)
