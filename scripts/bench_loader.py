"""Times the input pipeline on one core: each image decoded by PIL, against the image store.

    python scripts/bench_loader.py              # 2 000 images of 64x128 -> 256x128: half a minute

CPU seconds count every thread of the process, so that work done ahead in the background is not
hidden. All ratios are taken within one process.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reid.data.augmentation import TrainTransform
from reid.data.augmentation.erasing import RandomErasing
from reid.data.augmentation.flip import Flip
from reid.data.augmentation.grayscale_patch import GrayscalePatch
from reid.data.augmentation.jitter import Jitter
from reid.data.augmentation.padding import PadAndCrop
from reid.data.cache.decode import cache_in_memory, cache_on_disk
from reid.data.cache.loader import CachedLoader
from reid.data.loaders import ImageDataset, ImageLoader
from reid.data.records import ImageRecord, Records
from reid.data.samplers import PKSampler
from reid.utils.batch import Batch

SIZE, CPU = (256, 128), torch.device("cpu")


class Speed(NamedTuple):
    """Images per second of wall time, and per second of CPU time of all threads."""

    wall: float
    cpu: float


def write_images(folder: Path, count: int, seed: int = 0) -> Records:
    """Writes JPEGs of Market's size and about its bytes (4 KB): blocks of colour and some noise."""
    rng, records = np.random.default_rng(seed), []
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((64, 128), Image.Resampling.BICUBIC), np.int16)
        noisy = pixels + rng.integers(-12, 13, pixels.shape)
        path = folder / f"{index // 8 + 1:04}_c{index % 6 + 1}s1_{index:06}_01.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        records.append(ImageRecord(path, index // 8 + 1, index % 6))
    return tuple(records)


def measure(loader: Iterable[Batch], passes: int) -> Speed:
    """Times passes after one that warms up."""
    images = sum(len(batch.images) for batch in loader)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(passes):
        for _batch in loader:
            pass
    images *= passes
    return Speed(images / (time.perf_counter() - wall), images / (time.process_time() - cpu))


def run(records: Records, transform: TrainTransform, folder: Path) -> dict[str, Speed]:
    """Times every way to the same batches; the first is the reference."""
    paths, labels = [record.path for record in records], [record.pid for record in records]
    sampler = PKSampler(labels, 16, 4, seed=0)
    dataset = ImageDataset(records, transform)
    found = {"PIL, each image": measure(ImageLoader(dataset, sampler, 0, False), 1)}
    start = time.process_time()
    memory = cache_in_memory(paths, SIZE, 1, "train")
    filled = len(records) / (time.process_time() - start)
    disk = cache_on_disk(paths, SIZE, 1, "train", folder / "train.rows")
    for name, pixels in (("ram", memory), ("disk", disk)):
        loader = CachedLoader(pixels, records, sampler, CPU, transform=transform)
        found[f"store, {name}"] = measure(loader, 3)
    found["filling the store"] = Speed(filled, filled)
    return found


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--all", action="store_true", help="also colour jitter and gray patches")
    return parser.parse_args()


def main() -> None:
    """Prints one row a way."""
    args = parse()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    more = (Jitter(0.5), GrayscalePatch(SIZE, 0.4)) if args.all else ()
    transform = TrainTransform(SIZE, [Flip(), PadAndCrop(), *more, RandomErasing(SIZE)])
    with tempfile.TemporaryDirectory() as name:
        records = write_images(Path(name), args.images)
        size = sum(record.path.stat().st_size for record in records) / len(records)
        print(f"{len(records)} JPEGs of 64x128, {size:.0f} bytes each -> {SIZE[0]}x{SIZE[1]}")
        found = run(records, transform, Path(name))
    reference = next(iter(found.values())).cpu
    rows = [(way, s.wall, s.cpu, 1e6 / s.cpu, s.cpu / reference) for way, s in found.items()]
    headers = ("way", "images/s", "images/s of CPU", "us of CPU", "ratio")
    print(tabulate(rows, headers, floatfmt=".1f"))


if __name__ == "__main__":
    main()
