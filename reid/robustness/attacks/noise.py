"""No search at all."""

from torch import Tensor

from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import Norm, make_ball
from reid.robustness.rngs import ImageRNGs


@ATTACKS.register("noise")
class UniformNoise(Attack):
    """Uniform noise in the ball: the floor that every attack has to beat.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        norm: ``linf`` or ``l2``.
    """

    uses_gradient = False
    leaves_start = True

    def __init__(self, eps: float, norm: Norm = "linf") -> None:
        self.ball = make_ball(norm, eps)

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns a random point of each image's ball, (B, 3, H, W); does not ask for the loss."""
        return self.ball.sample(clean, rngs)
