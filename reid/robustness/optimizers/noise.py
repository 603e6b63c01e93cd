"""No search at all."""

from torch import Tensor

from reid.robustness.ball import make_ball
from reid.robustness.draws import Draws
from reid.robustness.optimizers.registry import OPTIMIZERS, Loss


@OPTIMIZERS.register("noise")
class UniformNoise:
    """Uniform noise in the ball: the floor that every attack has to beat.

    Args:
        eps: Radius in [0, 1] units of a pixel.
        norm: ``linf`` or ``l2``.
    """

    uses_gradient, compares = False, False
    leaves_start = True

    def __init__(self, eps: float, norm: str = "linf") -> None:
        self.ball = make_ball(norm, eps)

    def __call__(self, loss: Loss, clean: Tensor, draws: Draws) -> Tensor:
        """Returns the perturbed images; the loss is not asked."""
        return self.ball.sample(clean, draws)
