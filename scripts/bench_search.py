"""Times the exact search of an index beside faiss' flat index, and the memory that it adds.

python scripts/bench_search.py                                  # 200 000 x 512, 64 queries
python scripts/bench_search.py --rows 1000000 --no-faiss        # a million: memory
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reid.search import LocalIndex, make_rows

STEP = 50_000  # rows added at a time


def memory(field: str) -> int:
    """Returns a figure of this process in bytes: VmRSS is now, VmHWM the most since the reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


def reset_peak() -> None:
    """Has the system forget the most memory that this process had."""
    Path("/proc/self/clear_refs").write_text("5")


def features(count: int, dim: int, seed: int) -> np.ndarray:
    """Returns (count, dim) float32 of unit length."""
    feats = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    return feats / np.linalg.norm(feats, axis=1, keepdims=True)


def build(folder: Path, count: int, dim: int) -> LocalIndex:
    """Builds an index of random features."""
    index = LocalIndex.create(folder, dim)
    for start in range(0, count, STEP):
        number = min(STEP, count - start)
        paths = [f"images/{start + i:08}.jpg" for i in range(number)]
        index.add(make_rows(features(number, dim, start), paths))
    return index


def best_of(work: Callable[[], object], times: int) -> float:
    """Returns the seconds of the fastest of several calls."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    """Prints what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--no-faiss", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        build(path, args.rows, args.dim).close()
        print(json.dumps(measured(path, args), indent=1))


def measured(path: Path, args: argparse.Namespace) -> dict[str, object]:
    """Returns the seconds of both, their ratio, and the memory that ours adds."""
    queries = features(args.queries, args.dim, 10**9)
    LocalIndex(path).search(queries[:1], 1)  # loads what is loaded on first use
    before = memory("VmRSS")
    reset_peak()
    index = LocalIndex(path)

    def search() -> object:
        return index.search(queries, args.k)

    search()
    peak = memory("VmHWM")
    facts: dict[str, object] = {
        "rows": args.rows,
        "dim": args.dim,
        "queries": args.queries,
        "threads": args.threads,
        "torch": torch.__version__,
        "added_MiB": round((peak - before) / 2**20),
    }
    ours, theirs = [], []
    flat = None if args.no_faiss else faiss_index(args)
    for _ in range(args.times):  # in turns: a busy machine is busy for both
        ours.append(best_of(search, 1))
        if flat is not None:
            theirs.append(best_of(lambda: flat.search(queries, args.k), 1))
    facts["seconds"] = round(min(ours), 4)
    if flat is not None:
        found = [[int(hit.path[7:15]) for hit in hits] for hits in index.search(queries, args.k)]
        expected = flat.search(queries, args.k)[1]
        facts["same_hits"] = float(np.mean(np.array(found) == expected))
        facts["faiss_seconds"] = round(min(theirs), 4)
        facts["ratio"] = round(min(theirs) / min(ours), 2)
    return facts


def faiss_index(args: argparse.Namespace) -> Any:
    """Returns faiss' exact index of the same features, in memory."""
    import faiss

    faiss.omp_set_num_threads(args.threads)
    flat = faiss.IndexFlatL2(args.dim)
    for start in range(0, args.rows, STEP):
        flat.add(features(min(STEP, args.rows - start), args.dim, start))
    return flat


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
