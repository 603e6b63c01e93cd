"""How well each camera finds people in each other one."""

from typing import NamedTuple

import numpy as np

from reid.evaluation.lists import Lists
from reid.evaluation.protocol import CROSS_CAMERA


class Pair(NamedTuple):
    """Queries of one camera and matches of another.

    Attributes:
        rank1: Share of these queries for which a match of that camera comes before any other
            person; NaN if there are none.
        queries: Their number.
    """

    rank1: float
    queries: int


class CameraPairs(NamedTuple):
    """A table of cameras.

    Attributes:
        query: Cameras of the queries, one for each row.
        gallery: Cameras of the gallery, one for each column.
        pairs: The rows.
    """

    query: list[int]
    gallery: list[int]
    pairs: list[list[Pair]]


def camera_pairs(lists: Lists, protocol: str, name: str = "plain") -> CameraPairs:
    """Returns how well each camera finds people in each other one.

    For a pair of cameras the gallery is that of all cameras, and matches of other cameras than the
    second one are left out, as if they were junk. It follows from the kept places: a query counts
    as found if a match of the camera is among them, and no other person before it.

    Args:
        lists: The lists of a test.
        protocol: ``cross_camera`` or ``any_camera``: whether the own camera of a query counts.
        name: Name of the ranking.
    """
    ranked = lists.rankings[name]
    query_pid = lists.query.pids[ranked.query_index]
    query_cam = lists.query.camids[ranked.query_index]
    kept = ranked.places >= 0
    pids = np.where(kept, lists.gallery.pids[ranked.places], -1)
    camids = np.where(kept, lists.gallery.camids[ranked.places], -1)
    wrong = kept & (pids != query_pid[:, None])
    before = np.cumsum(wrong, axis=1) == 0  # no other person up to here
    seen = set(zip(lists.gallery.pids.tolist(), lists.gallery.camids.tolist(), strict=True))
    query_cams = sorted(set(query_cam.tolist()))
    gallery_cams = sorted(set(lists.gallery.camids.tolist()))
    table = []
    for own in query_cams:
        row = []
        for other in gallery_cams:
            counts = np.array([(pid, other) in seen for pid in query_pid.tolist()])
            counts &= query_cam == own
            if protocol == CROSS_CAMERA and own == other:
                counts[:] = False
            hit = (kept & before & ~wrong & (camids == other)).any(axis=1)
            row.append(_pair(hit[counts]))
        table.append(row)
    return CameraPairs(query_cams, gallery_cams, table)


def _pair(hit: np.ndarray) -> Pair:
    return Pair(float(hit.mean()) if len(hit) else float("nan"), len(hit))
