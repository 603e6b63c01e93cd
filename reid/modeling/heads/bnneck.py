"""The head of the "bag of tricks" baseline."""

from torch import Tensor, nn

from reid.modeling.heads.registry import HEADS
from reid.modeling.output import ReIDOutput


@HEADS.register("bnneck")
class BNNeckHead(nn.Module):
    """Batch normalization between the metric feature and the classifier.

    Source: Luo et al., "Bag of Tricks", arXiv:1903.07071, section 3.6. The shift of the
    normalization stays 0 (not trained) and the classifier has no bias, so that its hyperplanes
    pass through the origin.

    Args:
        feat_dim: Length D of the feature.
        num_classes: Number C of train identities.
    """

    def __init__(self, feat_dim: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.bottleneck = nn.BatchNorm1d(feat_dim)
        self.bottleneck.bias.requires_grad_(False)
        self.classifier = nn.Linear(feat_dim, num_classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, feat: Tensor) -> ReIDOutput:
        """Maps the pooled feature (B, D) to feature, normalized feature and logits (B, C)."""
        feat_bn = self.bottleneck(feat)
        return ReIDOutput(feat, feat_bn, self.classifier(feat_bn))
