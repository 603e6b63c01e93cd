"""The table of losses, and what one is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from torch import Tensor, nn

from reid.utils.registry import Registry, Section

SOURCES = ("feat", "feat_bn", "logits")


class Loss(nn.Module):
    """What a training loss offers; any ``nn.Module`` that has the same is one, too.

    Arguments of ``__init__`` with a default are config keys: ``LOSS.<NAME>.<ARGUMENT>``. Arguments
    ``num_classes`` (C, train identities) and ``feat_dim`` (D) without a default are filled in.
    Parameters of the loss, such as ArcFace's class weights, are trained with those of the model.

    Attributes:
        consumes: Which part of the model's output it reads: ``feat``, (B, D) before the neck,
            ``feat_bn``, (B, D) after the neck, or ``logits``, (B, C). LOSS.NECK_FEAT ``after``
            gives ``feat_bn`` to those that read ``feat``.
        needs_pairs: Whether it compares images of one batch: it learns from several images of an
            identity and from images of several identities, so that the sampler has to put them
            there.
        statistics: Further numbers of the last batch, by name, for the log and the curves: scalar
            () tensors without gradient, on the device. ``forward`` sets them anew in each step,
            always under the same names. The mean over an epoch is written as
            ``<loss>_<name>``, such as ``triplet_active``. One called ``collapsed`` is the share of
            the batch, in [0, 1], that the loss cannot tell apart; training warns where it stays
            near 1.
    """

    consumes: ClassVar[Literal["feat", "feat_bn", "logits"]]
    needs_pairs: ClassVar[bool] = False
    statistics: Mapping[str, Tensor] = MappingProxyType({})

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Returns a scalar, float32, the mean over the batch.

        Args:
            x: (B, D) or (B, C), what the loss ``consumes``; also half precision.
            labels: (B,) int64, 0..C - 1.

        Raises:
            TypeError: The subclass has no forward of its own.
        """
        raise TypeError(f"{type(self).__name__} has no forward(x, labels)")


LOSSES: Registry[type[nn.Module]] = Registry(
    "loss",
    Section("LOSS", ("NAMES", "WEIGHTS", "NECK_FEAT")),
    base=nn.Module,
    attributes={"consumes": 'write consumes = "feat", "feat_bn" or "logits" in its body'},
    values={"consumes": SOURCES, "needs_pairs": (True, False)},
    facts=("num_classes", "feat_dim"),
)
