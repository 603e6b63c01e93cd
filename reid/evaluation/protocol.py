"""Which gallery images a query may find: the protocols, and how many queries have a match.

A gallery image of the identity of a query is a match, or it is junk and left out of the ranking:

* ``cross_camera``: junk if it is from the camera of the query. Source: Zheng et al., "Scalable
  Person Re-identification: A Benchmark", ICCV 2015.
* ``any_camera``: junk only if it is the query's own picture, for data whose cameras are unknown, or
  that has one camera. Pictures have numbers, and equal numbers mean the same picture. Without
  numbers nothing is left out.

In both, gallery images with pid -1 are junk for every query.
"""

import hashlib
from typing import TypeAlias

import numpy as np

from reid.evaluation.checks import ArrayLike, as_ids
from reid.utils.errors import ArgumentError, unknown

CROSS_CAMERA = "cross_camera"
ANY_CAMERA = "any_camera"
PROTOCOLS = (CROSS_CAMERA, ANY_CAMERA)
Pictures: TypeAlias = tuple[ArrayLike, ArrayLike]  # numbers of the queries and of the gallery


def check_protocol(protocol: str) -> None:
    """Raises ArgumentError unless ``protocol`` is one of :data:`PROTOCOLS`."""
    if protocol not in PROTOCOLS:
        raise ArgumentError("protocol", f"is an {unknown('protocol', protocol, PROTOCOLS)}")


def junk_keys(
    num_query: int,
    num_gallery: int,
    q_camids: ArrayLike | None,
    g_camids: ArrayLike | None,
    protocol: str = CROSS_CAMERA,
    pictures: Pictures | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a key for each query, (Q,), and gallery image, (G,) int64.

    A gallery image of the identity of a query is junk if the two keys are equal: they are the
    cameras, or the numbers of the pictures.

    Args:
        num_query: Q.
        num_gallery: G.
        q_camids: (Q,) integer cameras of the queries; only ``cross_camera`` reads them.
        g_camids: (G,) the same for the gallery.
        protocol: One of :data:`PROTOCOLS`.
        pictures: (Q,) and (G,) integers, the same for the same picture; only ``any_camera`` reads
            them. None: no query lies in the gallery.

    Raises:
        ArgumentError: An unknown protocol, or ids of another length or kind.
    """
    check_protocol(protocol)
    if protocol == CROSS_CAMERA:
        if q_camids is None or g_camids is None:
            raise ArgumentError("protocol", f"{protocol} needs the cameras of both sides")
        keys, names = (q_camids, g_camids), ("q_camids", "g_camids")
    elif pictures is not None:
        keys, names = pictures, ("pictures[0]", "pictures[1]")
    else:
        return np.zeros(num_query, np.int64), np.ones(num_gallery, np.int64)
    return as_ids(keys[0], names[0], num_query), as_ids(keys[1], names[1], num_gallery)


def count_matched(
    query_pids: ArrayLike,
    query_camids: ArrayLike | None,
    gallery_pids: ArrayLike,
    gallery_camids: ArrayLike | None,
    protocol: str = CROSS_CAMERA,
    pictures: Pictures | None = None,
) -> int:
    """Returns how many queries have a match, from ids alone: what an evaluation will not leave out.

    Args:
        query_pids: (Q,) integer identities; -1 is junk and has no match.
        query_camids: (Q,) integer cameras; see :func:`junk_keys`, also for what follows.
        gallery_pids: (G,) integer identities.
        gallery_camids: (G,) integer cameras.
        protocol: One of :data:`PROTOCOLS`.
        pictures: (Q,) and (G,) numbers of the pictures, or None.

    Raises:
        ArgumentError: As :func:`junk_keys`.
    """
    num_query, num_gallery = len(query_pids), len(gallery_pids)
    pids = np.concatenate(
        [
            as_ids(query_pids, "query_pids", num_query),
            as_ids(gallery_pids, "gallery_pids", num_gallery),
        ]
    )
    keys = junk_keys(num_query, num_gallery, query_camids, gallery_camids, protocol, pictures)
    _, person = np.unique(pids, return_inverse=True)
    _, key = np.unique(np.concatenate(keys), return_inverse=True)
    _, both = np.unique(person * (key.max(initial=0) + 1) + key, return_inverse=True)
    shown, junk = (
        np.bincount(codes[num_query:], minlength=len(codes))[codes[:num_query]]
        for codes in (person, both)
    )
    return int(np.count_nonzero((shown > junk) & (pids[:num_query] != -1)))


def no_match(num_query: int, protocol: str) -> ArgumentError:
    """Builds the error for a test in which no query has a match.

    Args:
        num_query: Number of queries.
        protocol: One of :data:`PROTOCOLS`.
    """
    if protocol == CROSS_CAMERA:
        why = (
            "no gallery image shows the identity of a query in another camera; check pids and"
            f" camids, or use {ANY_CAMERA} where cameras are unknown or there is only one"
        )
    else:
        why = "no gallery image but its own shows the identity of a query; check pids"
    return ArgumentError(
        "protocol", f"{protocol}: none of the {num_query} queries has a match: {why}"
    )


def ids_hash(
    query_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_pids: np.ndarray,
    gallery_camids: np.ndarray,
) -> str:
    """Returns 12 hex digits that are the same only for the same list of people and cameras.

    Args:
        query_pids: (Q,) integer identities.
        query_camids: (Q,) integer cameras.
        gallery_pids: (G,) integer identities.
        gallery_camids: (G,) integer cameras.
    """
    digest = hashlib.sha256()
    for ids in (query_pids, query_camids, gallery_pids, gallery_camids):
        digest.update(len(ids).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(ids, "<i8").tobytes())
    return digest.hexdigest()[:12]
