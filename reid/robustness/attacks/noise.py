"""Random noise, without a search."""

from torch import Tensor

from reid.robustness.attacks.base import Attack, Loss
from reid.robustness.attacks.registry import ATTACKS
from reid.robustness.ball import Norm, make_ball
from reid.robustness.rngs import ImageRNGs


@ATTACKS.register("noise")
class UniformNoise(Attack):
    """Uniform noise in the ball: a baseline that every attack must beat.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        norm: ``linf``, or ``l2`` (root mean square over an image).
    """

    uses_gradient = False
    leaves_start = True

    def __init__(self, eps: float, norm: Norm = "linf") -> None:
        self.ball = make_ball(norm, eps)

    def __call__(self, loss: Loss, clean: Tensor, rngs: ImageRNGs) -> Tensor:
        """Returns a random point of the ball of each image, (B, 3, H, W); does not use the loss.

        The arguments are those of :class:`reid.robustness.attacks.base.Attack`.
        """
        return self.ball.sample(clean, rngs)
