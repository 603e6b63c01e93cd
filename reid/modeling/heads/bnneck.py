"""The head of the "bag of tricks" baseline."""

from torch import Tensor, nn

from reid.modeling.heads.registry import HEADS
from reid.modeling.output import ReIDOutput
from reid.modeling.regularizers.dropout import Dropout
from reid.utils.checks import DropRate, Width, check_count, check_probability


@HEADS.register("bnneck")
class BNNeckHead(nn.Module):
    """Batch normalization between the metric feature and the classifier.

    ``feat`` is the pooled feature, or the embedding made of it, before the normalization;
    ``feat_bn`` is behind the normalization, without dropout; the classifier reads ``feat_bn`` after
    dropout.

    Source: Luo et al., "Bag of Tricks", arXiv:1903.07071, section 3.6. The shift of the
    normalization stays 0 (not trained) and the classifier has no bias, so that its hyperplanes
    pass through the origin. The embedding is fast-reid's ``EMBEDDING_DIM``.
    Differs: where there is an embedding, ``feat`` is the embedding; in fast-reid the feature before
    the neck is always the pooled one.

    Args:
        feat_dim: Length of the pooled feature.
        num_classes: Number C of train identities.
        embedding_dim: Length D of the feature that a linear layer without bias makes of the pooled
            one; 0 is no such layer.
        dropout: Probability of dropping a cell of the normalized feature before the classifier.

    Raises:
        ArgumentError: The length is negative, or the probability outside [0, 1].
    """

    def __init__(
        self, feat_dim: int, num_classes: int, embedding_dim: Width = 0, dropout: DropRate = 0.0
    ) -> None:
        super().__init__()
        check_count("embedding_dim", embedding_dim, least=0)
        check_probability("dropout", dropout)
        self.num_classes = num_classes
        self.feat_dim = embedding_dim or feat_dim
        self.embedding: nn.Module = nn.Identity()
        if embedding_dim:
            self.embedding = nn.Linear(feat_dim, embedding_dim, bias=False)
            nn.init.kaiming_normal_(self.embedding.weight, mode="fan_out")
        self.bottleneck = nn.BatchNorm1d(self.feat_dim)
        self.bottleneck.bias.requires_grad_(False)
        # Only where it does something: a checkpoint inside an epoch counts what draws numbers.
        self.dropout = Dropout(dropout) if dropout else nn.Identity()
        self.classifier = nn.Linear(self.feat_dim, num_classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, pooled: Tensor) -> ReIDOutput:
        """Maps the pooled feature (B, P) to feature and normalized feature, (B, D), and logits."""
        feat = self.embedding(pooled)
        feat_bn = self.bottleneck(feat)
        return ReIDOutput(feat, feat_bn, self.classifier(self.dropout(feat_bn)))
