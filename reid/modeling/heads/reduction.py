"""The head of layumi's baseline, which LFM's released code uses."""

from torch import Tensor, nn

from reid.modeling.heads.registry import HEADS
from reid.modeling.output import ReIDOutput
from reid.modeling.regularizers.dropout import Dropout
from reid.utils.checks import DropRate, Width, check_count, check_probability


@HEADS.register("reduction")
class ReductionHead(nn.Module):
    """A shorter embedding: linear layer, batch normalization, dropout, classifier with bias.

    ``feat`` is the output of the linear layer, ``feat_bn`` that of the normalization and the ReLU,
    without dropout; the classifier reads ``feat_bn`` after dropout. Unlike in a BNNeck, the shift
    of the normalization is trained, and the classifier has a bias.

    Source: ``ClassBlock`` of layumi/Person_reID_baseline_pytorch with linear 512, batch
    normalization, dropout 0.5 and no ReLU, and its initial weights. Its retrieval compares what is
    behind the normalization (TEST.NECK_FEAT after). With a ReLU and without dropout it is the layer
    ``fc`` of torchreid's resnet50_fc512 and OSNet.
    Differs: metric losses there read the feature behind the dropout; here they read ``feat``.

    Args:
        feat_dim: Length of the pooled feature.
        num_classes: Number C of train identities.
        embedding_dim: Length D of the feature that the linear layer makes of the pooled one; 0 is
            no such layer.
        dropout: Probability of dropping a cell of the normalized feature before the classifier.
        relu: Whether a ReLU follows the normalization.

    Raises:
        ArgumentError: The length is negative, or the probability outside [0, 1].
    """

    def __init__(
        self,
        feat_dim: int,
        num_classes: int,
        embedding_dim: Width = 512,
        dropout: DropRate = 0.5,
        relu: bool = False,
    ) -> None:
        super().__init__()
        check_count("embedding_dim", embedding_dim, least=0)
        check_probability("dropout", dropout)
        self.num_classes = num_classes
        self.feat_dim = embedding_dim or feat_dim
        self.embedding = nn.Linear(feat_dim, embedding_dim) if embedding_dim else nn.Identity()
        self.bottleneck = nn.BatchNorm1d(self.feat_dim)
        self.relu = nn.ReLU() if relu else nn.Identity()
        self.dropout = Dropout(dropout) if dropout else nn.Identity()
        self.classifier = nn.Linear(self.feat_dim, num_classes)
        if isinstance(self.embedding, nn.Linear):
            nn.init.kaiming_normal_(self.embedding.weight, mode="fan_out")
            nn.init.zeros_(self.embedding.bias)
        nn.init.normal_(self.bottleneck.weight, mean=1.0, std=0.02)
        nn.init.normal_(self.classifier.weight, std=0.001)
        for layer in (self.bottleneck, self.classifier):
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> ReIDOutput:
        """Maps the pooled feature (B, P) to feature and normalized feature, (B, D), and logits."""
        feat = self.embedding(pooled)
        feat_bn = self.relu(self.bottleneck(feat))
        return ReIDOutput(feat, feat_bn, self.classifier(self.dropout(feat_bn)))
