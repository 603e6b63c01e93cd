"""Watches a training: gradients that are not finite, and signs of collapse."""

import logging
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from reid.evaluation.collapse import ALIKE

FEAT_SPREAD = "feat_spread"  # name of the statistic that every training has
_COLLAPSED = "_collapsed"  # end of the name of a loss's statistic
_MOST = 0.9  # share of a batch that a loss cannot tell apart from which on it is warned of
_SMALLEST = 1e-4  # root mean square of the weights below which batch normalization's eps rules
_IN_A_ROW = 3  # readings
_SMALL = 1 << 14  # numbers of a parameter whose gradient is watched
_LOWEST_SCALE = 2.0**-20  # of the fp16 loss; the scaler begins at 2**16 and halves it


def finite_sign(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Returns a number that is finite if the gradient is.

    It reads the gradients of the parameters with at most 16 384 numbers: all of batch
    normalization, the biases and the first convolution. What is not finite anywhere in a backward
    pass goes through these on its way to the first layer; reading all gradients would take 1 % of a
    step. If there are none of that size, it reads all.

    Args:
        parameters: Parameters after a backward pass; those without a gradient are left out.

    Returns:
        () float32 on the device of the gradients: 0, or NaN.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    some = [grad for grad in grads if grad.numel() <= _SMALL] or grads
    if not some:
        return torch.zeros(())
    return torch.cat([grad.detach().flatten().float() for grad in some]).mul(0).sum()


def scale_is_lost(scaler: torch.amp.GradScaler) -> bool:
    """Says whether fp16 training does no step any more, because each gradient overflowed."""
    return scaler.is_enabled() and scaler.get_scale() < _LOWEST_SCALE


def weight_size(model: nn.Module) -> float:
    """Returns the root mean square of all weights with two dimensions or more; inf if none is."""
    weights = [p.detach() for p in model.parameters() if p.dim() > 1]
    if not weights:
        return float("inf")
    squares = torch.stack([torch.linalg.vector_norm(w.float()) for w in weights]).square().sum()
    return float(squares / sum(w.numel() for w in weights)) ** 0.5


class Watch:
    """Warns of each sign of collapse once, if it is there in three readings in a row.

    Args:
        logger: Logger that gets the warnings.
        first_epoch: First epoch that is watched; in a warm-up features may be alike for a while.
    """

    def __init__(self, logger: logging.Logger, first_epoch: int = 1) -> None:
        self.logger = logger
        self.first_epoch = first_epoch
        self._in_a_row: dict[str, int] = {}
        self._warned: set[str] = set()

    def see(self, epoch: int, reading: Mapping[str, float], weights: float) -> None:
        """Looks at a reading.

        Args:
            epoch: Number of the epoch, 1-based.
            reading: Means by name, from :meth:`reid.engine.meter.Meter.read`.
            weights: From :func:`weight_size`.
        """
        if epoch < self.first_epoch:
            return
        signs = dict(_signs(reading, weights))
        self._in_a_row = {kind: self._in_a_row.get(kind, 0) + 1 for kind in signs}
        for kind, text in signs.items():
            if self._in_a_row[kind] >= _IN_A_ROW and kind not in self._warned:
                self._warned.add(kind)
                self.logger.warning(f"warning: in epoch {epoch} {text}")


def _signs(reading: Mapping[str, float], weights: float) -> Iterator[tuple[str, str]]:
    """Yields (kind, text) of each sign of collapse in a reading."""
    mend = "lower the learning rate or the weight decay, or lengthen the warm-up"
    apart = reading.get(FEAT_SPREAD, 1.0)
    if apart < ALIKE:
        yield (
            FEAT_SPREAD,
            f"all features of a batch are alike: they are {apart:.2%} of their length away from"
            f" their mean ({FEAT_SPREAD}); the model has collapsed: {mend}",
        )
    for name, share in reading.items():
        if name.endswith(_COLLAPSED) and share > _MOST:
            loss = name.removesuffix(_COLLAPSED)
            yield (
                name,
                f"the loss {loss} cannot tell images apart: for {share:.0%} of them same and other"
                f" people are equally far away ({name}); {mend}, or begin without this loss",
            )
    if weights < _SMALLEST:
        yield (
            "weights",
            f"the weights have decayed to {weights:.1e} (root mean square): the model computes"
            " next to nothing; lower the weight decay",
        )
