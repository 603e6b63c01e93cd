"""Measures what commands cost before they work: CPU seconds (user + sys), beside `import torch`.

    python scripts/bench_startup.py

Commands run in turns, so that a neighbour on the machine slows all of them; medians are printed.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "import torch"
CONFIG = str(ROOT / "configs/market_lfm.yml")
COMMANDS = {
    REFERENCE: ["-c", "import torch"],
    "train.py --help": [str(ROOT / "tools/train.py"), "--help"],
    "train.py, a mistyped key": [
        str(ROOT / "tools/train.py"),
        "--config-file",
        CONFIG,
        "SOLVER.BASE_LRR",
        "1",
    ],
    "train.py, an unknown value": [
        str(ROOT / "tools/train.py"),
        "--config-file",
        CONFIG,
        "LOSS.NAMES",
        "[tripet]",
    ],
    "results.py of a run that is not there": [str(ROOT / "tools/results.py"), "nowhere"],
    "reid --help": ["-m", "reid", "--help"],
}


def cpu_seconds(command: list[str]) -> float:
    """Returns the user and system seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, *command], capture_output=True, check=False, env=environment, cwd=ROOT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(args.repeats + 1):
        for name, command in COMMANDS.items():
            seconds = cpu_seconds(command)
            if turn:  # the first turn fills the caches
                found[name].append(seconds)
    reference = statistics.median(found[REFERENCE])
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(f"{name:<40}{median:7.2f} s{median / reference:7.2f} x {REFERENCE}")


if __name__ == "__main__":
    main()
