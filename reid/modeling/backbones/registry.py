"""The table of backbones, and what one is."""

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor, nn

from reid.utils.registry import Registry, Section


class Backbone(Protocol):
    """What a backbone offers besides being an ``nn.Module``.

    Arguments with a default are config keys: ``MODEL.BACKBONE.<NAME>.<ARGUMENT>``. A table entry is
    a class or a function that builds one.

    Attributes:
        stages: Names of the positions where a regularizer can be, in the order of the forward pass.
        feat_dim: Channels of the last map.
        classifier: Begin of the names that the classifier has in a weight file; "fc." if the
            attribute is absent.
        extra: What the names of parameters contain that files with ImageNet weights lack; these
            keep the values that they were drawn with. None if the attribute is absent.
        decisive: Arguments, kept as attributes, that decide what weights mean although names and
            shapes fit in any case; a file of a network that was built otherwise is refused. None if
            the attribute is absent.
        fresh: Stages whose output may be written to, since nothing else needs it; none if the
            attribute is absent.

    It may have more: ``reseed(seed)`` if it draws random numbers in training, which it is given
    anew each epoch; and what :class:`StagedNetwork` has: ``check_stage``, ``check_size``, and
    ``imagenet`` and ``adapted``, which give and convert weights. ``depth_of(name)`` tells how deep
    a parameter lies where its name does not: see :func:`reid.engine.depth.block_depths`.
    """

    stages: tuple[str, ...]
    feat_dim: int

    def __call__(self, images: Tensor, after: Mapping[str, nn.Module]) -> Tensor:
        """Returns the last feature map, (B, feat_dim, h, w).

        Args:
            images: (B, 3, H, W), normalized.
            after: Modules by stage. The output of each stage that is among them goes through its
                module; other keys are not used.
        """


_SECTION = Section("MODEL.BACKBONE", ("NAME",))
_BUILT = {
    "stages": "the names of its stages, a tuple",
    "feat_dim": "the number of channels of its last map",
}
BACKBONES: Registry[Callable[..., nn.Module]] = Registry(
    "backbone",
    _SECTION,
    built=_BUILT,
)
# Collections with many networks. NAME is provider:model, and what stands behind the colon is the
# argument ``model``; ``size`` is (H, W) of training images. The function returns a Backbone.
PROVIDERS: Registry[Callable[..., nn.Module]] = Registry(
    "provider of backbones", _SECTION, facts=("model", "size"), built=_BUILT
)
