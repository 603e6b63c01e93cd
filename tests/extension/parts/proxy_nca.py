"""Proxy-NCA (Movshovitz-Attias et al., arXiv:1703.07464): a loss with weights of its own."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid.losses import LOSSES, Loss


@LOSSES.register("proxy_nca")
class ProxyNCA(Loss):
    """Cross entropy on squared distances of unit features to unit proxies, one for each identity.

    Args:
        num_classes: C.
        feat_dim: D.
        scale: Of the distances.
    """

    consumes = "feat"

    def __init__(self, num_classes: int, feat_dim: int, scale: float = 8.0) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.randn(num_classes, feat_dim))

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over the batch of (B, D) features and (B,) labels, float32."""
        with torch.autocast(feat.device.type, enabled=False):
            cos = F.normalize(feat.float()) @ F.normalize(self.weight).T
        return F.cross_entropy(-self.scale * (2 - 2 * cos), labels)
