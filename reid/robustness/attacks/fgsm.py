"""An attack of one step."""

from torch import Tensor

from reid.robustness.attacks.ascent import ascend
from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import make_ball
from reid.robustness.rngs import ImageRNGs


@ATTACKS.register("fgsm")
class FGSM(Attack):
    """Fast gradient sign method: one step to the border of the L-infinity ball.

    Source: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", arXiv:1412.6572.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        random_start: Whether to start at a random point of the ball and step by 1.25 eps, as Wong
            et al. do in "Fast is better than free", arXiv:2001.03994. It is needed for objectives
            whose gradient at the clean image is zero.
    """

    def __init__(self, eps: float, random_start: bool = False) -> None:
        self.ball = make_ball("linf", eps)
        self.random_start = self.leaves_start = random_start

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns the images after one step, (B, 3, H, W).

        The arguments are those of :class:`reid.robustness.attacks.base.Attack`.
        """
        if self.random_start:
            return ascend(loss, self.ball.sample(clean, rngs), clean, self.ball, 1, 1.25)
        return ascend(loss, clean, clean, self.ball, 1, 1.0)
