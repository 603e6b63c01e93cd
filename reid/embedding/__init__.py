"""Images of any kind to features: what ``reid.load`` returns, and what ``reid embed`` writes."""

from reid.embedding.extractor import FeatureExtractor

__all__ = ["FeatureExtractor"]
