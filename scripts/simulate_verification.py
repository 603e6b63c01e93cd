"""Shows by simulation what the intervals of TEST.VERIFICATION hold.

    python scripts/simulate_verification.py --json docs/results/verification_coverage.json

Each set draws people anew: the feature of an image is that of its person and noise, both normal in
eight dimensions, and people differ in how much their images vary. The truth is that of a million
other people, each in one pair of both kinds. Printed is how often an interval of 95 % holds it: of
FAR and TAR of the threshold that a set gave for a FAR of 1e-2, and of the threshold itself.
"""

import argparse
import json
import platform
import shlex
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from reid.evaluation.features import Features
from reid.evaluation.verification.pairs import collect, make_pairs
from reid.evaluation.verification.thresholds import operating_points

PEOPLE = (20, 40, 100)
MANY = 1_000_000
IMAGES = 4  # of a person, in each of two cameras
SPREAD = np.linspace(1.5, 0.3, 8)  # of people: they differ more in some directions


def draw(people: int, images: int, rng: np.random.Generator) -> tuple[Features, Features]:
    """Returns queries and gallery of so many people.

    Args:
        people: Number of people.
        images: Images of each person on each side, in a camera of its own.
        rng: The dice.
    """
    centers = rng.normal(size=(people, 8)) * SPREAD
    noise = rng.uniform(0.3, 0.9, people)
    pids = np.repeat(np.arange(people), images)
    sides = []
    for camid in (0, 1):
        feats = centers[pids] + rng.normal(size=(len(pids), 8)) * noise[pids, None]
        parts = (torch.tensor(feats, dtype=torch.float32), pids, np.full(len(pids), camid))
        sides.append(Features(*parts))
    return sides[0], sides[1]


def coverage(people: int, sets: int, resamples: int, seed: int) -> np.ndarray:
    """Returns how often the intervals of FAR, TAR and threshold hold the truth, (3,) shares.

    Args:
        people: People of a set.
        sets: Number of sets.
        resamples: Resamples of each set.
        seed: Of all draws.
    """
    rng = np.random.default_rng(seed)
    query, gallery = (normalize(side.feats) for side in draw(MANY, 1, rng))
    true = np.sort((query * gallery).sum(dim=1).numpy())
    impostor = np.sort((query * gallery.roll(1, 0)).sum(dim=1).numpy())
    right = impostor[-len(impostor) // 100]
    covered = np.zeros(3)
    for number in range(sets):
        pairs = make_pairs(*draw(people, IMAGES, rng), "cross_camera")
        point = operating_points(pairs, collect(pairs), number, resamples)[0]
        rates = [1 - np.searchsorted(s, point.threshold) / len(s) for s in (impostor, true)]
        intervals = (point.false_interval, point.found_interval, point.threshold_interval)
        truths = (*rates, right)
        covered += [i.low <= value <= i.high for value, i in zip(truths, intervals, strict=True)]
    return covered / sets


def main() -> None:
    """Prints a row for each number of people."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=PEOPLE, help="people of a set")
    parser.add_argument("--sets", type=int, default=400, help="sets of each size")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the raw numbers")
    args = parser.parse_args()
    rows = []
    for people in args.people:
        false, found, threshold = coverage(people, args.sets, 500, args.seed).tolist()
        row = {"people": people, "false": false, "found": found, "threshold": threshold}
        rows.append(row)
        print(row, flush=True)
    if args.json:
        facts = {
            "command": shlex.join(["python", "scripts/simulate_verification.py", *sys.argv[1:]]),
            "sets": args.sets,
            "seed": args.seed,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "machine": platform.machine(),
            "rows": rows,
        }
        args.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
