"""Times embedding beside a plain loop: images in memory, and files; prints JSON.

    python scripts/bench_embed.py                                 # a ResNet-50 at 256x128
    python scripts/bench_embed.py MODEL.BACKBONE.NAME resnet18 INPUT.SIZE_TEST '(64,32)'

- ``network``: batches that are tensors already, forward only.
- ``memory``: uint8 arrays of the model's size through ``embed``.
- ``decode``: files are read and resized by as many threads, and nothing else.
- ``files``: files through ``embed``; the slower of ``network`` and ``decode`` bounds it, or on a
  CPU, whose cores do both, one after the other.
- ``plain``: files one after the other, decoded and embedded in one thread.

Rates on a machine that others use say little. ``cpu_seconds`` are those of all threads, the least
of several turns, and ``cpu_parts_to_files`` is what network and decoding take to what ``files``
takes: 1 means that nothing is added. They need --threads 1: several threads of the network wait
busily.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import reid
from reid.builders.model import build_model
from reid.config import dump, load_cfg
from reid.data.images import decode
from reid.embedding import FeatureExtractor
from reid.embedding.batches import ahead
from reid.engine import checkpoint as ckpt
from reid.utils.batch import to_unit


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Returns how long a call takes, on the clock and in CPU seconds of all threads."""
    clock = time.perf_counter()
    cpu = time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def write_files(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Writes pictures with the detail of photographs as JPEG."""
    dice = np.random.default_rng(0)
    files = []
    for number in range(count):
        small = dice.integers(0, 256, (size[0] // 8, size[1] // 8, 3), np.uint8)
        picture = Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC)
        files.append(folder / f"{number:05}.jpg")
        picture.save(files[-1], quality=90)
    return files


def network(model: FeatureExtractor, pixels: np.ndarray) -> None:
    """Embeds batches without anything around the network."""
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    with torch.inference_mode():
        for part in batch.split(model.batch_size):
            model.embedding(to_unit(part.to(model.device))).cpu()


def decode_all(model: FeatureExtractor, files: list[Path]) -> None:
    """Decodes files and does nothing with them."""
    for _ in ahead(lambda file: decode(file, model.size), files, model.threads, 64):
        pass


def plain(model: FeatureExtractor, files: list[Path]) -> None:
    """Decodes and embeds in one thread, as a loop by hand does."""
    for start in range(0, len(files), model.batch_size):
        part = files[start : start + model.batch_size]
        network(model, np.stack([decode(file, model.size) for file in part]))


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--pixels", type=int, nargs=2, default=(256, 128), help="of the files")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        cfg = load_cfg("base.yml", [*args.overrides, "MODEL.PRETRAIN_CHOICE", "none"])
        weight = Path(folder) / "model.pth"
        ckpt.save(weight, build_model(cfg, 4, False), 0, dump(cfg), [0, 1, 2, 3], {})
        model = reid.load(weight)
        model.batch_size = args.batch
        files = write_files(Path(folder), args.images, tuple(args.pixels))
        print(json.dumps(measured(model, files, args.times), indent=1))


def measured(model: FeatureExtractor, files: list[Path], times: int) -> dict[str, object]:
    """Returns images a second of each way."""
    pixels = np.stack([decode(file, model.size) for file in files])
    ways: dict[str, Callable[[], object]] = {
        "network": lambda: network(model, pixels),
        "memory": lambda: model.embed(pixels),
        "decode": lambda: decode_all(model, files),
        "files": lambda: model.embed(files),
        "plain": lambda: plain(model, files),
    }
    network(model, pixels[: model.batch_size])  # what is done on first use
    clock = dict.fromkeys(ways, float("inf"))
    cpu = dict.fromkeys(ways, float("inf"))
    for _ in range(times):  # in turns: a busy machine is busy for all
        for name, work in ways.items():
            taken = seconds_of(work)
            clock[name] = min(clock[name], taken[0])
            cpu[name] = min(cpu[name], taken[1])
    best = {name: len(files) / seconds for name, seconds in clock.items()}
    both = 1 / (1 / best["network"] + 1 / best["decode"])
    bound = both if model.device.type == "cpu" else min(best["network"], best["decode"])
    return {
        "torch": torch.__version__,
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "decoding_threads": model.threads,
        "images_a_second": {name: round(value, 1) for name, value in best.items()},
        "memory_to_network": round(best["memory"] / best["network"], 3),
        "files_to_bound": round(best["files"] / bound, 3),
        "files_to_plain": round(best["files"] / best["plain"], 3),
        "cpu_seconds": {name: round(value, 2) for name, value in cpu.items()},
        "cpu_parts_to_files": round((cpu["network"] + cpu["decode"]) / cpu["files"], 3),
    }


if __name__ == "__main__":
    main()
