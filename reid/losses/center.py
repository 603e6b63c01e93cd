"""Compact classes."""

import torch
from torch import Tensor

from reid.losses.registry import LOSSES, Loss
from reid.utils import distributed
from reid.utils.checks import Share, check_range


@LOSSES.register("center")
class CenterLoss(Loss):
    """Mean squared distance of each feature to the center of its class.

    The centers are buffers. Each forward pass in training mode moves them by one SGD step on the
    unweighted loss. This equals a second optimizer whose gradient is divided by the weight of the
    loss, as other implementations have it. With several processes the step is that of the global
    batch, so that all processes hold the same centers if they started with the same.

    Source: Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition",
    ECCV 2016.
    Differs: the loss has no factor 1/2 and the step no division by the class count, as in Luo et
    al., arXiv:1903.07071.

    Args:
        num_classes: Number C of classes.
        feat_dim: Length D of the feature.
        lr: Learning rate of the centers.

    Raises:
        ArgumentError: The learning rate is negative.
    """

    consumes = "feat"
    centers: Tensor

    def __init__(self, num_classes: int, feat_dim: int, lr: Share = 0.5) -> None:
        super().__init__()
        check_range("lr", lr, 0)
        self.lr = lr
        self.register_buffer("centers", torch.randn(num_classes, feat_dim))

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over the batch, a float32 scalar; in training it moves the centers.

        Args:
            feat: (B, D), also half precision.
            labels: (B,) int64.
        """
        offset = feat.float() - self.centers[labels]
        if self.training:
            self._step(offset.detach(), labels)
        return offset.square().sum(1).mean()

    @torch.no_grad()
    def _step(self, offset: Tensor, labels: Tensor) -> None:
        descent = torch.zeros_like(self.centers).index_add_(
            0, labels, offset, alpha=2 / len(labels)
        )
        distributed.average(descent)
        self.centers.add_(descent, alpha=self.lr)
