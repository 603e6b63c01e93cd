"""Times a comparison of the size of Market-1501 beside the plain loop over resamples.

    python scripts/bench_compare.py               # 10 000 resamples, 3 368 queries, 2 x 5 runs
    python scripts/bench_compare.py --loop 50     # resamples that the plain loop really does

The plain loop draws seeds and identities, gathers the queries of each one, and takes their mean;
its time is that of ``--loop`` resamples, multiplied. One thread; CPU seconds,
scipy's import included.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from reid.statistics.comparison import compare
from reid.statistics.groups import Block, Group
from reid.statistics.resampling import Draws

QUERIES, IDENTITIES = 3368, 750  # of Market-1501


def plain_loop(first: np.ndarray, second: np.ndarray, pids: np.ndarray, resamples: int) -> float:
    """Resamples query by query; returns the seconds.

    Args:
        first: (S, Q) values of the one group.
        second: (S, Q) values of the other.
        pids: (Q,) identities.
        resamples: How often.
    """
    rng = np.random.default_rng(0)
    start = time.process_time()
    for _ in range(resamples):
        drawn = rng.integers(IDENTITIES, size=IDENTITIES)
        rows = np.concatenate([np.flatnonzero(pids == one) for one in drawn])
        seeds = rng.integers(len(first), size=len(first))
        float(first[seeds][:, rows].mean() - second[seeds][:, rows].mean())
    return time.process_time() - start


def main() -> None:
    """Reads the arguments and prints the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--loop", type=int, default=50)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    pids = np.sort(rng.integers(0, IDENTITIES, QUERIES))
    first, second = rng.random((2, args.seeds, QUERIES))
    print(f"{args.resamples} resamples x {QUERIES} queries x {args.seeds} seeds x 2 groups")
    draws = Draws(args.resamples)
    for what in ("the first comparison of a table", "each further one"):
        start = time.process_time()
        compare([Block(Group.of(first, pids), Group.of(second, pids), paired=True)], draws)
        print(f"{what:<36}{time.process_time() - start:10.2f} s")
    seconds = plain_loop(first, second, pids, args.loop) / args.loop * args.resamples
    print(f"{'the plain loop':<36}{seconds:10.2f} s")


if __name__ == "__main__":
    main()
