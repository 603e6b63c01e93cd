"""Measures how long a long list of crops takes to be read and split: CPU seconds and memory.

    python scripts/bench_list.py --rows 1000000 --folder /tmp/bench_list

Empty files with the names of the list are made in the folder, 5 000 in each folder below it, where
they are not there yet; the folder is left behind.
"""

import argparse
import os
import resource
import time
from pathlib import Path

from reid.data.datasets import DATASETS

EACH = 5000  # files of a folder
LIST = "people.csv"


def write_list(folder: Path, rows: int) -> Path:
    """Writes a list of so many rows, and the files; a person has 20 images and 7 cameras."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LIST).open("w") as text:
        text.write("path,identity,camera\n")
        for place in range(0, rows, EACH):
            below = folder / "img" / f"{place // EACH:05}"
            below.mkdir(parents=True, exist_ok=True)
            there = set(os.listdir(below))
            for row in range(place, min(place + EACH, rows)):
                name = f"{row - place:06}.jpg"
                if name not in there:
                    (below / name).touch()
                text.write(f"img/{below.name}/{name},person {row // 20:06},camera {row % 7}\n")
    return folder / LIST


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    file = write_list(args.folder, args.rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    splits = DATASETS["csv"](True, 0, str(file))
    seconds = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    parts = ", ".join(f"{len(part)}" for part in splits[:3])
    print(
        f"{args.rows} rows into {parts}: {seconds:.1f} CPU seconds,"
        f" {grown * 1024 / args.rows:.0f} bytes a row more at the peak"
    )


if __name__ == "__main__":
    main()
