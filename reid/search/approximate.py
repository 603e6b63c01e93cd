"""Approximate neighbours by faiss, an extra: ``pip install "reid-lfm[faiss]"``.

Source of the structures: Jegou et al., "Searching in one billion vectors", ICASSP 2011 (ivf), and
Malkov & Yashunin, arXiv:1603.09320 (hnsw).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from reid.utils.errors import InputError, unknown
from reid.utils.logs import temporary_of

KINDS = ("hnsw", "ivf")
INSTALL = 'pip install "reid-lfm[faiss]"'
_LINKS = 32  # of a node of hnsw
_EFFORT_BUILDING, _EFFORT_SEARCHING = 80, 128  # of hnsw: candidates that are kept meanwhile
_TRAINED_ON = 256  # rows for each cell of ivf
_PROBED = 16  # of this many cells, ivf looks into one; and into eight at least


def import_faiss() -> Any:
    """Returns the package faiss.

    Raises:
        InputError: It is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise InputError(
            f"approximate search needs the package faiss, which is not installed: {INSTALL}"
        ) from error
    return faiss


def build_graph(kind: str, parts: Iterator[np.ndarray], count: int, dim: int, seed: int = 0) -> Any:
    """Returns faiss' structure over rows, which it numbers 0, 1, ...

    Args:
        kind: One of :data:`KINDS`.
        parts: (n, D) float32 each, ``count`` rows in all.
        count: Number of rows, at least 1.
        dim: The D.
        seed: Of the rows that the cells of ivf are found with.

    Raises:
        InputError: The kind is unknown, or faiss is not installed.
    """
    if kind not in KINDS:
        raise unknown("kind of approximate search", kind, KINDS)
    faiss = import_faiss()
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dim, _LINKS)
        graph.hnsw.efConstruction = _EFFORT_BUILDING
        graph.hnsw.efSearch = _EFFORT_SEARCHING
        for part in parts:
            graph.add(np.ascontiguousarray(part))
        return graph
    cells = max(1, min(round(4 * count**0.5), count // 40))
    graph = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, cells)
    graph.cp.seed = seed
    graph.nprobe = min(cells, max(8, cells // _PROBED))
    held = list(parts)
    every = max(1, count // (_TRAINED_ON * cells))
    graph.train(np.ascontiguousarray(np.concatenate([part[::every] for part in held])))
    for part in held:
        graph.add(np.ascontiguousarray(part))
    return graph


def write_graph(graph: Any, file: Path) -> None:
    """Writes faiss' structure, whole or not at all.

    Args:
        graph: From :func:`build_graph`.
        file: The file.
    """
    with temporary_of(file) as temporary:
        import_faiss().write_index(graph, str(temporary))
        temporary.replace(file)


def read_graph(file: Path) -> Any:
    """Reads faiss' structure; lists of ivf are mapped, and not read.

    Raises:
        InputError: The file is missing or damaged, or faiss is not installed.
    """
    faiss = import_faiss()
    try:
        return faiss.read_index(str(file), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise InputError(
            f"the index is damaged: {file} cannot be read; `reid index add` makes it anew"
        ) from error


def found_by(graph: Any, query: np.ndarray, count: int) -> np.ndarray:
    """Returns numbers of rows that are near, (Q, count) int64; -1 where there are no more.

    Args:
        graph: From :func:`build_graph`.
        query: (Q, D) float32.
        count: Rows of a query.
    """
    return np.asarray(graph.search(np.ascontiguousarray(query), count)[1], np.int64)
