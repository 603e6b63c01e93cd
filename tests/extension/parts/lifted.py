"""Lifted embedding loss (Hermans et al., arXiv:1703.07737, "Lifted Embedding"): a loss on pairs."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.losses import LOSSES, Loss
from reid.utils.checks import check_range


@LOSSES.register("lifted")
class LiftedLoss(Loss):
    """Pulls all positives nearer than all negatives, by soft maxima.

    Args:
        margin: Gap, in units of Euclidean distance.
    """

    consumes = "feat"
    needs_pairs = True

    def __init__(self, margin: float = 0.3) -> None:
        super().__init__()
        check_range("margin", margin, 0, 1)
        self.margin = margin

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over the batch of (B, D) features and (B,) labels, float32."""
        feat = feat.float()
        dist = torch.cdist(feat, feat, compute_mode="donot_use_mm_for_euclid_dist")
        same = labels[:, None] == labels
        self_pair = torch.eye(len(labels), dtype=torch.bool, device=feat.device)
        far = torch.where(same & ~self_pair, dist, -torch.inf).logsumexp(1)
        near = torch.where(~same, self.margin - dist, -torch.inf).logsumexp(1)
        return F.relu(far + near).mean()
