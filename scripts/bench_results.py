"""Measures how long `reid results` takes for a tree of many runs: CPU seconds (user + sys).

    python scripts/bench_results.py --runs 3000

The tree is generated: five seeds of a recipe each, with config, rows of 12 epochs, log and result;
every 50th run is not finished.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reid.config import default_cfg, dump

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 12
SEEDS = 5


def make_run(folder: Path, config: str, number: int) -> None:
    """Writes the files of one run."""
    (folder / "tensorboard").mkdir(parents=True)
    (folder / "config.yml").write_text(config)
    (folder / "train.log").write_text("a line of a log\n" * 100)
    unfinished = number % 50 == 49
    rows = [{"epoch": epoch + 1, "lr": 0.1, "loss_total": 2.0} for epoch in range(EPOCHS)]
    kept = rows[:3] if unfinished else rows
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in kept))
    if not unfinished:
        result = {
            **dict.fromkeys(("mAP", "mINP", "rank1", "rank5"), number % 97 / 97),
            **{"num_queries": 300, "num_skipped": 0, "num_gallery": 1300, "dataset": "synthetic"},
            **{"protocol": "cross_camera", "ids": "x", "weight": "last.pth"},
            **{"seed": number % SEEDS, "recipe_hash": str(number // SEEDS)},
        }
        (folder / "metrics.json").write_text(json.dumps(result))


def main() -> None:
    """Generates the tree, and prints the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3000)
    args = parser.parse_args()
    cfg = default_cfg()
    cfg.SOLVER.MAX_EPOCHS = EPOCHS
    config = dump(cfg)
    with tempfile.TemporaryDirectory(prefix="reid-results-") as root:
        for number in range(args.runs):
            folder = Path(root) / f"variant{number // SEEDS}" / f"seed{number % SEEDS}"
            make_run(folder, config, number)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, str(ROOT / "tools/results.py"), root, "--sort", "mAP"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{args.runs} runs, {len(done.stdout.splitlines())} lines: {spent:.2f} s")


if __name__ == "__main__":
    main()
