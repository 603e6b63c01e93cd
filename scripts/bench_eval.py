"""Times evaluation and re-ranking against the usual way, on seeded features in clusters.

    python scripts/bench_eval.py --size market            # 3 368 x 15 913, 2048-d: 1 minute, 2 GiB
    python scripts/bench_eval.py --size msmt17            # 11 659 x 82 161: 5 minutes, 4 GiB
    python scripts/bench_eval.py --size market --dense    # beside the textbook: 10 minutes, 10 GiB
    python scripts/bench_eval.py --size market_500k --directions 64 --spread 0.5

The last one has Market-1501's 500 000 distractors: 519 281 features, which it draws into a file of
4 GiB in --folder, and maps. A run that is killed goes on with the same command.

Every ratio is taken within one process. Memory is what a step adds to the resident set at its peak.
"""

import argparse
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reid.evaluation import (
    Ranking,
    evaluate_features,
    evaluate_rank,
    evaluate_reranked,
    pairwise_distance,
    re_ranking,
)

T = TypeVar("T")
SIZES = {  # queries, gallery, identities of the queries, cameras, feature width
    "warm": (2048, 2048, 500, 6, 128),
    "small": (300, 1500, 75, 6, 256),
    "market": (3368, 15913, 750, 6, 2048),
    "msmt17": (11659, 82161, 3060, 15, 2048),
    "market_500k": (3368, 515913, 750, 6, 2048),
    "small_500k": (300, 19700, 75, 6, 256),
}
MAPPED = ("market_500k", "small_500k")  # in these, all gallery images but 15 913 are distractors
STRIP = 4096  # rows of the product that are timed where all would take too long


class Data(NamedTuple):
    """Features and ids, in the order evaluate_rank and evaluate_reranked take them."""

    q_feats: Any  # arrays, or tensors over a mapped file
    g_feats: Any
    q_pids: np.ndarray
    g_pids: np.ndarray
    q_camids: np.ndarray
    g_camids: np.ndarray


def make(size: str, spread: float, directions: int = 0, seed: int = 0) -> Data:
    """Draws features around one centre per identity; a sixth of the gallery are distractors.

    With ``directions``, features vary in so many directions, and elsewhere by a tenth of that.
    """
    num_query, num_gallery, num_ids, num_cams, dim = SIZES[size]
    rng = np.random.default_rng(seed)
    width = directions or dim
    centres = rng.standard_normal((num_ids, width), dtype=np.float32)
    turn = rng.standard_normal((width, dim), dtype=np.float32)

    def embedded(feats: np.ndarray) -> np.ndarray:
        if not directions:
            return feats
        feats = feats @ turn
        rest = rng.standard_normal(feats.shape, dtype=np.float32)
        return feats + rest * (0.1 * feats.std())

    def side(count: int, shown: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pids = np.concatenate([rng.integers(1, num_ids + 1, shown), np.zeros(count - shown, int)])
        feats = rng.standard_normal((count, width), dtype=np.float32)
        feats *= spread
        feats[:shown] += centres[pids[:shown] - 1]
        feats[shown:] += rng.standard_normal((count - shown, width), dtype=np.float32)
        return embedded(feats), pids, rng.integers(0, num_cams, count)

    query, gallery = side(num_query, num_query), side(num_gallery, num_gallery * 5 // 6)
    return Data(query[0], gallery[0], query[1], gallery[1], query[2], gallery[2])


def make_mapped(size: str, spread: float, directions: int, folder: Path, seed: int = 0) -> Data:
    """Draws features as :func:`make` does, into a file that it maps; draws nothing anew.

    The gallery lies behind the queries, so that re-ranking needs no copy of both together.
    """
    num_query, num_gallery, num_ids, num_cams, dim = SIZES[size]
    total = num_query + num_gallery
    shown = min(SIZES["market"][1], num_gallery // 2) * 5 // 6
    rng = np.random.default_rng(seed)
    pids = rng.integers(1, num_ids + 1, total)
    pids[num_query + shown :] = 0
    camids = rng.integers(0, num_cams, total)
    file = folder / f"{size}-{spread:g}-{directions}-{seed}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        feats = np.lib.format.open_memmap(unfinished, "w+", np.float32, (total, dim))
        width = directions or dim
        centres = rng.standard_normal((num_ids + 1, width), dtype=np.float32)
        turn = rng.standard_normal((width, dim), dtype=np.float32)
        for start in range(0, total, STRIP):
            people = pids[start : start + STRIP]
            some = rng.standard_normal((len(people), width), dtype=np.float32) * spread
            own = rng.standard_normal(some.shape, dtype=np.float32)
            some += np.where(people[:, None] > 0, centres[people], own)
            if directions:
                some = some @ turn
                rest = rng.standard_normal(some.shape, dtype=np.float32)
                some += rest * (0.1 * some.std())
            feats[start : start + STRIP] = some
        feats.flush()
        del feats
        unfinished.rename(file)
    feats = torch.from_numpy(np.load(file, mmap_mode="c"))
    parts = [feats, pids, camids]
    sides = [part[side] for part in parts for side in (slice(num_query), slice(num_query, None))]
    return Data(*sides)


def resident() -> float:
    """Returns the resident memory of this process in GiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def timed(name: str, step: Callable[[], T], runs: int = 1) -> tuple[T, float]:
    """Runs a step, prints and returns its result and its least time; watches memory meanwhile."""
    seconds, before, peak, done = [], resident(), [resident()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    for _ in range(runs):
        start = time.perf_counter()
        result = step()
        seconds.append(time.perf_counter() - start)
    done.set()
    watcher.join()
    print(f"{name:<44}{min(seconds):9.3f} s  +{max(peak[0] - before, 0):5.2f} GiB", flush=True)
    return result, min(seconds)


def told(ranking: Ranking) -> str:
    """Returns the metrics in a few words."""
    return f"mAP {ranking.mAP:.6f}, Rank-1 {ranking.cmc[0]:.6f}"


def full_product(feats: np.ndarray) -> None:
    """Multiplies all rows with all rows, in strips that are thrown away."""
    x = torch.from_numpy(feats)
    strip = torch.empty(min(4096, len(x)), len(x))
    for rows in x.split(4096):
        torch.mm(rows, x.T, out=strip[: len(rows)])


def strip_product(feats: torch.Tensor) -> None:
    """Multiplies some rows with all rows."""
    strip = torch.empty(STRIP, STRIP)
    for rows in feats.split(STRIP):
        torch.mm(feats[:STRIP], rows.T, out=strip[:, : len(rows)])


def bench_mapped(args: argparse.Namespace) -> None:
    """Ranks and re-ranks mapped features, and tells the time of a product from a part of it."""
    data = make_mapped(args.size, args.spread, args.directions, args.folder)
    size = len(data.q_pids) + len(data.g_pids)
    print(
        f"{args.size}: {len(data.q_pids)} x {len(data.g_pids)}, {torch.get_num_threads()} threads"
    )
    data.g_feats.sum()  # from the disk into memory
    _, strip = timed(f"{STRIP} rows of the N x N product", lambda: strip_product(data.g_feats))
    product = strip * size / STRIP
    print(f"  so that all of it would take {product:.0f} s\n")
    ranking, _ = timed("evaluate_features, no matrix", lambda: evaluate_features(*data))
    print(f"  {told(ranking)}\n")
    state = args.folder / "re-ranking.partial.npz"
    if state.exists():
        print("  goes on where an earlier run was stopped")
    ranking, ours = timed("evaluate_reranked", lambda: evaluate_reranked(*data, partial=state))
    print(f"  {ours / product:.2f} products   {told(ranking)}")


def bench_ranking(data: Data) -> None:
    """Compares evaluate_rank with the argsort that every matrix evaluator starts with."""
    dist, _ = timed("distance matrix (euclidean)", lambda: pairwise_distance(*data[:2]))
    _, sort = timed("np.argsort of the matrix", lambda: np.argsort(dist, axis=1))
    ranking, ours = timed("evaluate_rank", lambda: evaluate_rank(dist, *data[2:]), runs=5)
    print(f"  {sort / ours:.1f} times as fast as argsort   {told(ranking)}\n")


def bench_re_ranking(data: Data, matrix: bool, dense: bool) -> None:
    """Compares re-ranking with one full product, and with the textbook on request."""
    _, product = timed("one full N x N product", lambda: full_product(np.concatenate(data[:2])))
    ranking, streamed = timed("evaluate_reranked", lambda: evaluate_reranked(*data))
    print(f"  {streamed / product:.2f} products   {told(ranking)}")
    if matrix:
        dist, ours = timed("re_ranking", lambda: re_ranking(*data[:2]))
        print(f"  {ours / product:.2f} products")
    if dense:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
        from textbook import dense_re_ranking

        slow, textbook = timed("textbook", lambda: dense_re_ranking(*data[:2], dtype=np.float32))
        print(
            f"  {textbook / ours:.1f} times slower, largest difference {abs(slow - dist).max():.1e}"
            f" ({(abs(slow - dist) > 1e-5).sum()} of {dist.size} entries above 1e-5)"
        )


def main() -> None:
    """Reads the arguments and runs both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="market")
    parser.add_argument("--spread", type=float, default=3.0, help="noise around a centre")
    parser.add_argument(
        "--directions",
        type=int,
        default=0,
        help="directions in which features vary; 0 is all, which no trained network gives",
    )
    parser.add_argument("--dense", action="store_true", help="run the dense textbook too")
    parser.add_argument("--folder", type=Path, default=Path("outputs/bench_eval"))
    args = parser.parse_args()
    warm = make("warm", args.spread, args.directions)  # compiles the loops, once on a machine
    evaluate_rank(pairwise_distance(*warm[:2]), *warm[2:])
    re_ranking(*warm[:2])
    if args.size in MAPPED:
        bench_mapped(args)
    else:
        bench_whole(args)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak resident memory of the process: {peak:.2f} GiB")


def bench_whole(args: argparse.Namespace) -> None:
    """Ranks and re-ranks features in memory."""
    data = make(args.size, args.spread, args.directions)
    print(
        f"{args.size}: {len(data.q_pids)} x {len(data.g_pids)}, {torch.get_num_threads()} threads"
    )
    if args.size != "msmt17":
        bench_ranking(data)
    ranking, _ = timed("evaluate_features, no matrix", lambda: evaluate_features(*data))
    print(f"  {told(ranking)}\n")
    bench_re_ranking(data, matrix=args.size != "msmt17" or args.dense, dense=args.dense)


if __name__ == "__main__":
    main()
