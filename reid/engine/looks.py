"""What TensorBoard is shown of an evaluation: ranked lists, and distances of matches and others."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reid.data.images import decode
from reid.data.records import Records
from reid.evaluation.distance import distance_to
from reid.evaluation.features import Features
from reid.evaluation.ranking import Ranking
from reid.evaluation.retrieval import Retrieval
from reid.visualization.ranked import RankedRow, draw_ranked
from reid.visualization.tiles import Tile

HITS = 8  # places of a list
QUERIES = 6  # lists
COUNTED = 256  # queries whose distances are counted
SIZE = (128, 64)  # height and width of a picture, pixels


class Looks(NamedTuple):
    """Pictures and numbers of one evaluation.

    Attributes:
        pictures: (3, H, W) float in [0, 1], by name.
        histograms: (N,) numbers, by name.
    """

    pictures: dict[str, Tensor]
    histograms: dict[str, np.ndarray]


def ranked_picture(ranking: Ranking, query: Records, gallery: Records) -> Tensor:
    """Draws ranked lists from the worst query to the best one, evenly spaced between them.

    Args:
        ranking: A ranking that kept places.
        query: Images that were searched for.
        gallery: Images that were searched.

    Returns:
        (3, H, W) float in [0, 1].
    """
    order = np.argsort(ranking.ap, kind="stable")
    spaced = np.linspace(0, len(order) - 1, min(QUERIES, len(order))).round().astype(int)
    rows = []
    for row in order[spaced]:
        record = query[ranking.query_index[row]]
        hits = [gallery[i] for i in ranking.places[row] if i >= 0]
        tiles = [Tile(decode(hit.path, SIZE), hit.pid == record.pid) for hit in hits]
        caption = f"AP {ranking.ap[row]:.1%}, first match at place {ranking.first_hit[row] + 1}"
        rows.append(RankedRow(Tile(decode(record.path, SIZE)), tiles, caption))
    return torch.from_numpy(np.array(draw_ranked(rows))).permute(2, 0, 1).float() / 255


def pair_distances(
    query: Features, gallery: Features, retrieval: Retrieval
) -> dict[str, np.ndarray]:
    """Returns the distances of queries to their matches, and to all other people; junk is left out.

    Of many queries, 256 evenly spaced ones are taken.

    Args:
        query: Features of the queries.
        gallery: Features of the gallery.
        retrieval: Its metric and protocol are used.
    """
    matches = retrieval.matches(query, gallery)
    rows = np.unique(np.linspace(0, len(query.pids) - 1, COUNTED).round().astype(int))
    distance = distance_to(gallery.feats, retrieval.metric)
    positive = []
    negative = []
    for row in rows.tolist():
        dist = distance(query.feats[row : row + 1])[0].cpu().numpy()
        _, match, _, junk = matches.pairs(row, row + 1)
        other = np.ones(len(dist), bool)
        other[match] = other[junk] = other[matches.junk_for_all] = False
        positive.append(dist[match])
        negative.append(dist[other])
    return {"positive": np.concatenate(positive), "negative": np.concatenate(negative)}
