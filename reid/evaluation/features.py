"""Runs a model over a split: images to features, in the same way for evaluation and attack."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from reid.utils import distributed
from reid.utils.batch import Batch, to_unit
from reid.utils.errors import ArgumentError


class Features(NamedTuple):
    """Features of one split, in the order of its records.

    Attributes:
        feats: (N, D) float32 on the device that computed them.
        pids: (N,) int64.
        camids: (N,) int64.
        pictures: (N,) int64, the same for the same picture, within both splits; None where it is
            not known. The protocol ``any_camera`` leaves out a query's own picture by it.
    """

    feats: Tensor
    pids: np.ndarray
    camids: np.ndarray
    pictures: np.ndarray | None = None


def pictures_of(query: Features, gallery: Features) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the numbers of the pictures, (Q,) and (G,), or None if a side does not know them.

    Args:
        query: Features of the queries.
        gallery: Features of the gallery.
    """
    if query.pictures is None or gallery.pictures is None:
        return None
    return query.pictures, gallery.pictures


class _Output(Protocol):
    feat: Tensor
    feat_bn: Tensor
    logits: Tensor


class Embedding(nn.Module):
    """Maps pixels in [0, 1] to the feature vector of each image that retrieval compares.

    Evaluation and attacks both use it, so that an attack sees exactly what is evaluated, from
    resizing to flip averaging.

    Args:
        model: Returns an output with ``feat`` and ``feat_bn``, each (B, D), and ``logits``.
        neck_feat: "after" or "before" the BNNeck.
        normalize: Divide by the L2 norm.
        flip: Average the (normalised) features of image and mirror image.
        dtype: Autocast dtype, None for fp32.
        size: (height, width) that images of another size are brought to, bilinear with
            antialiasing; None keeps their size.

    Raises:
        ArgumentError: ``neck_feat`` is neither of the two.
    """

    def __init__(
        self,
        model: nn.Module,
        neck_feat: str = "after",
        normalize: bool = True,
        flip: bool = False,
        dtype: torch.dtype | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if neck_feat not in ("after", "before"):
            raise ArgumentError("neck_feat", f"must be 'after' or 'before', got '{neck_feat}'")
        self.model = model
        self.normalize = normalize
        self.flip = flip
        self.dtype = dtype
        self.field = "feat_bn" if neck_feat == "after" else "feat"
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, 3, H, W) float in [0, 1] to (B, D) float32."""
        return self._feats(images, self.normalize)

    def raw(self, images: Tensor) -> Tensor:
        """Maps (B, 3, H, W) in [0, 1] to features that are not normalised, (B, D) float32."""
        return self._feats(images, False)

    def logits(self, images: Tensor) -> Tensor:
        """Maps (B, 3, H, W) in [0, 1] to the logits of the training identities, (B, C) float32.

        The mirror image is not used.
        """
        return self._output(images).logits.float()

    def _feats(self, images: Tensor, normalize: bool) -> Tensor:
        scale = nn.functional.normalize if normalize else nn.Identity()
        feats: Tensor = scale(self._view(images))
        if self.flip:
            both = feats + scale(self._view(images.flip(3)))
            feats = scale(both) if normalize else both * 0.5
        return feats

    def _view(self, images: Tensor) -> Tensor:
        feats: Tensor = getattr(self._output(images), self.field)
        return feats.float()

    def _output(self, images: Tensor) -> _Output:
        if self.size is not None and images.shape[2:] != self.size:
            images = nn.functional.interpolate(images, self.size, mode="bilinear", antialias=True)
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype is not None):
            output: _Output = self.model(images)
        return output


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Puts a module into eval mode and every submodule back into its own mode afterwards."""
    modes = [(submodule, submodule.training) for submodule in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for submodule, training in modes:
            submodule.training = training


def extract(
    embed: nn.Module,
    loader: Iterable[Batch],
    device: torch.device,
    perturb: Callable[[Tensor, Batch], Tensor] | None = None,
) -> Features:
    """Computes the features of every image that ``loader`` yields, in its order.

    Args:
        embed: Maps (B, 3, H, W) float32 in [0, 1] to (B, D). It runs in eval mode; its modes are
            restored afterwards.
        loader: Batches with uint8 images.
        device: Device of ``embed``.
        perturb: Function for attacks: (B, 3, H, W) images in [0, 1] and their batch -> perturbed
            images, (B, 3, H, W) in [0, 1]. None changes nothing.
    """
    feats = []
    pids = []
    camids = []
    with eval_mode(embed):
        for batch in loader:
            images = to_unit(batch.images.to(device, non_blocking=True))
            if perturb is not None:
                images = perturb(images, batch)
            with torch.inference_mode():
                feats.append(embed(images.contiguous(memory_format=torch.channels_last)))
            pids.append(batch.pids)
            camids.append(batch.camids)
    if not feats:  # the shard of this process is empty
        return Features(torch.zeros(0, 0, device=device), *np.zeros((2, 0), np.int64))
    # Joined outside inference mode, so that callers may use the result like any tensor.
    return Features(torch.cat(feats), torch.cat(pids).numpy(), torch.cat(camids).numpy())


def gathered(shard: Features) -> Features:
    """Joins the features of all processes in the order of their ranks; every process gets all."""
    pids, camids = (torch.from_numpy(ids) for ids in (shard.pids, shard.camids))
    feats, pids, camids = (distributed.gather_rows(rows) for rows in (shard.feats, pids, camids))
    return Features(feats, pids.numpy(), camids.numpy())
