"""The plain head."""

from torch import Tensor, nn

from reid.modeling.heads.registry import HEADS
from reid.modeling.output import ReIDOutput


@HEADS.register("linear")
class LinearHead(nn.Module):
    """A classifier with bias directly on the pooled feature.

    ``feat`` and ``feat_bn`` are both the pooled feature: there is no neck.

    Args:
        feat_dim: Length D of the feature.
        num_classes: Number C of train identities.
    """

    def __init__(self, feat_dim: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.feat_dim = feat_dim
        self.classifier = nn.Linear(feat_dim, num_classes)
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, feat: Tensor) -> ReIDOutput:
        """Returns the pooled feature (B, D) as both features, and logits (B, C)."""
        return ReIDOutput(feat, feat, self.classifier(feat))
