"""ArcFace (Deng et al., arXiv:1801.07698): a loss with weights of its own."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid.losses import LOSSES, Loss


@LOSSES.register("arcface")
class ArcFace(Loss):
    """Cross entropy on cosines to class centers, with an angular margin.

    Args:
        num_classes: C.
        feat_dim: D.
        scale: Of the cosines.
        margin: In radians.
    """

    consumes = "feat"

    def __init__(
        self, num_classes: int, feat_dim: int, scale: float = 16.0, margin: float = 0.3
    ) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.weight = nn.Parameter(torch.randn(num_classes, feat_dim))

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over the batch of (B, D) features and (B,) labels, float32."""
        with torch.autocast(feat.device.type, enabled=False):
            cos = F.normalize(feat.float()) @ F.normalize(self.weight).T
        angle = cos.clamp(-1 + 1e-6, 1 - 1e-6).acos()
        wanted = F.one_hot(labels, len(self.weight)).bool()
        logits = torch.where(wanted, (angle + self.margin).cos(), cos)
        return F.cross_entropy(self.scale * logits, labels)
