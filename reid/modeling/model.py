"""Images in, embedding and logits out."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from reid.modeling.backbones.registry import Backbone
from reid.modeling.heads.registry import Head
from reid.modeling.output import ReIDOutput
from reid.modeling.pooling.avg import AvgPool
from reid.modeling.regularizers.base import Regularizer
from reid.utils.checks import check_choice
from reid.utils.errors import ArgumentError
from reid.utils.seeding import derive_seed

_BACKBONE = 1_000_000  # its place when seeds are derived, behind those of all regularizers


class ByStage(nn.ModuleDict):
    """Modules by stage. A stage may be the path of a module, whose dots ModuleDict refuses."""

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Adds a module; it is called for each key that is set.

        Args:
            name: The stage.
            module: Its module.
        """
        self._modules[name] = module  # type: ignore[assignment]


class ReIDModel(nn.Module):
    """Normalizes images, and runs backbone with regularizers, pooling and head.

    Pixels are normalized inside, so that attacks and augmentations work in [0, 1]. Mean and std
    are no part of the state dict, and a regularizer adds no key to it either: checkpoints trained
    with and without one are interchangeable.

    Args:
        backbone: Module that is a :class:`Backbone`.
        head: Module that is a :class:`Head`.
        regularizers: Regularizers by stage. A stage is one of ``backbone.stages``, or another that
            its ``check_stage`` accepts, ``input`` for the normalized pixels, or ``pool`` for the
            pooled feature as a (B, D, 1, 1) tensor.
        pixel_mean: Mean of each channel of RGB, for pixels in [0, 1].
        pixel_std: Standard deviation of each channel of RGB, for pixels in [0, 1].
        pooling: Module that maps (B, C, h, w) to (B, C, 1, 1) float32; None is the mean.

    Raises:
        ArgumentError: The mean or the std is not three numbers, or a std is not positive; a stage
            is unknown, or has no feature map and its regularizer needs one.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        regularizers: Mapping[str, nn.Module],
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        pooling: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if len(pixel_mean) != 3:
            problem = f"must be one number for each of R, G, B, got {tuple(pixel_mean)}"
            raise ArgumentError("pixel_mean", problem)
        if len(pixel_std) != 3 or not all(std > 0 for std in pixel_std):
            problem = f"must be one positive number for each of R, G, B, got {tuple(pixel_std)}"
            raise ArgumentError("pixel_std", problem)
        self.backbone = backbone
        self.head = head
        self.pooling = AvgPool() if pooling is None else pooling
        _check_stages(regularizers, backbone)
        self.regularizers = ByStage(regularizers)
        for stage in getattr(backbone, "fresh", ()):
            if hasattr(regularizers.get(stage), "in_place"):
                regularizers[stage].in_place = True  # type: ignore[assignment]
        for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @property
    def feat_dim(self) -> int:
        """Length D of the features that the head returns."""
        return int(getattr(self.head, "feat_dim", cast(Backbone, self.backbone).feat_dim))

    @property
    def num_classes(self) -> int:
        """Number C of training identities."""
        return cast(Head, self.head).num_classes

    def reseed(self, seed: int) -> None:
        """Starts all randomness of its parts anew; the trainer calls it each epoch."""
        in_head = (module for module in self.head.modules() if isinstance(module, Regularizer))
        for position, regularizer in enumerate((*self.regularizers.values(), *in_head)):
            cast(Regularizer, regularizer).reseed(derive_seed(seed, position))
        of_backbone = getattr(self.backbone, "reseed", None)
        if of_backbone is not None:
            of_backbone(derive_seed(seed, _BACKBONE))

    def forward(self, images: Tensor) -> ReIDOutput:
        """Returns features and logits of (B, 3, H, W) images in [0, 1], RGB, floating point.

        Pooling and head run in fp32 also under autocast: they cost little, and features rounded to
        8 bits are too coarse to find the hardest pairs by their distances.

        Raises:
            ArgumentError: The images are not floating point.
        """
        if not images.is_floating_point():
            problem = f"must be floats in [0, 1], got {images.dtype}; use reid.utils.batch.to_unit"
            raise ArgumentError("images", problem)
        x = (images - self.pixel_mean) / self.pixel_std
        if "input" in self.regularizers:
            x = self.regularizers["input"](x)
        x = self.backbone(x, self.regularizers)
        x = self.pooling(x).to(self.pixel_mean.dtype)
        if "pool" in self.regularizers:
            x = self.regularizers["pool"](x)
        with torch.autocast(x.device.type, enabled=False):
            return cast(ReIDOutput, self.head(x.flatten(1)))


def _check_stages(regularizers: Mapping[str, nn.Module], backbone: nn.Module) -> None:
    maps = ("input", *cast(Backbone, backbone).stages)
    check_stage: Callable[[str], None] | None = getattr(backbone, "check_stage", None)
    for stage, regularizer in regularizers.items():
        if check_stage is None or stage in ("input", "pool"):
            check_choice("regularizers", stage, (*maps, "pool"))
        else:
            check_stage(stage)
        if stage == "pool" and getattr(regularizer, "spatial", False):
            raise ArgumentError(
                "regularizers",
                f"must not have {type(regularizer).__name__} at stage 'pool': it needs a feature"
                f" map, and the stages with one are {', '.join(maps)}",
            )
