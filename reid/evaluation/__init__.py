"""Distances, retrieval metrics and re-ranking: plain arrays in, plain results out."""

from reid.evaluation.distance import METRICS, pairwise_distance
from reid.evaluation.expansion import average_query_expansion, average_views
from reid.evaluation.protocol import PROTOCOLS, count_matched
from reid.evaluation.ranking import Ranking, evaluate_features, evaluate_rank
from reid.evaluation.rerank import evaluate_reranked, re_ranking
from reid.evaluation.rerank_distances import re_ranking_from_distances

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "Ranking",
    "average_query_expansion",
    "average_views",
    "count_matched",
    "evaluate_features",
    "evaluate_rank",
    "evaluate_reranked",
    "pairwise_distance",
    "re_ranking",
    "re_ranking_from_distances",
]
