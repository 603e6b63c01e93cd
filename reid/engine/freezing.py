"""A backbone that stays as it is in the first epochs, while pooling and head learn."""

from torch import nn

from reid.utils.checks import check_count
from reid.utils.errors import ArgumentError

FROZEN = "backbone"  # the part of the model


class Freezing:
    """Freezes the backbone of a model in the first epochs.

    In a frozen epoch the parameters of the backbone get no gradient, so that the optimizer changes
    neither them nor what it keeps of them: no step, no weight decay, no momentum. The backbone is
    in eval mode: its batch normalization uses its running statistics and leaves them as they are,
    and its own dropout is off. All else trains: pooling, head and losses; the regularizers of the
    model act, also at stages of the backbone. It depends on the epoch alone, and has no state.

    Source: ``FREEZE_ITERS`` of fast-reid (He et al., arXiv:2006.02631), there in iterations.

    Args:
        model: The model.
        epochs: Number of frozen epochs at the begin of a run; 0 changes nothing, ever.

    Raises:
        ArgumentError: The number is negative, or the model has no part ``backbone`` to freeze.
    """

    def __init__(self, model: nn.Module, epochs: int) -> None:
        check_count("freeze_epochs", epochs, least=0)
        self.epochs = epochs
        self._part = getattr(model, FROZEN, None) if epochs else None
        if epochs and self._part is None:
            raise ArgumentError("freeze_epochs", f"is {epochs}, and the model has no {FROZEN}")
        # A parameter that never trains stays as it is.
        parameters = self._part.parameters() if self._part is not None else ()
        self._parameters = [p for p in parameters if p.requires_grad]

    def holds(self, epoch: int) -> bool:
        """Returns whether the backbone is frozen in an epoch, 1-based."""
        return epoch <= self.epochs

    def frozen_part(self, epoch: int) -> str:
        """Returns the name of the part that is frozen in an epoch, 1-based, or ""."""
        return FROZEN if self.holds(epoch) else ""

    def set_gradients(self, epoch: int) -> None:
        """Says which parameters get a gradient; call it before the model is wrapped."""
        for parameter in self._parameters:
            parameter.requires_grad_(not self.holds(epoch))
            parameter.grad = None

    def set_modes(self, epoch: int) -> None:
        """Puts a frozen backbone into eval mode; call it when the model is in training mode."""
        if self._part is not None and self.holds(epoch):
            self._part.eval()
