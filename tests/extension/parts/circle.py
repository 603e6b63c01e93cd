"""Circle loss (Sun et al., arXiv:2002.10857, pairwise form): a loss on pairs."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid.losses import LOSSES, Loss
from reid.utils.checks import check_range


@LOSSES.register("circle")
class CircleLoss(Loss):
    """Pulls similarities of pairs to 1 + margin and -margin, each at its own pace.

    Args:
        margin: Relaxation, in units of cosine similarity.
        gamma: Scale.
    """

    consumes = "feat"
    needs_pairs = True

    def __init__(self, margin: float = 0.25, gamma: float = 32.0) -> None:
        super().__init__()
        check_range("margin", margin, 0, 1)
        self.margin, self.gamma = margin, gamma

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean over the batch of (B, D) features and (B,) labels, float32."""
        unit = F.normalize(feat.float())
        with torch.autocast(feat.device.type, enabled=False):
            cos = unit @ unit.T
        same = labels[:, None] == labels
        self_pair = torch.eye(len(labels), dtype=torch.bool, device=feat.device)
        up = (1 + self.margin - cos.detach()).clamp(min=0) * (1 - self.margin - cos)
        down = (cos.detach() + self.margin).clamp(min=0) * (cos - self.margin)
        worst = torch.where(same & ~self_pair, self.gamma * up, -torch.inf).logsumexp(1)
        nearest = torch.where(~same, self.gamma * down, -torch.inf).logsumexp(1)
        return F.softplus(worst + nearest).mean()
