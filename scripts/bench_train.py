"""Times training: the loader alone, the step alone, the whole loop, each against a plain way.

    python scripts/bench_train.py --config-file configs/market_lfm.yml       # minutes on 2 cores
    python scripts/bench_train.py --config-file configs/synthetic_lfm.yml    # a minute on 2 cores
    python scripts/bench_train.py --config-file configs/market_lfm.yml --against timm:resnet50

With ``--against`` only the steps of two networks are timed. Those of timm have the last stride 2:
set MODEL.BACKBONE.RESNET50.LAST_STRIDE 2 beside it.

The plain way is that of most frameworks: images decoded and augmented one by one in worker
processes, fp32, NCHW, an optimizer that is not fused, the loss read at every step. Images are
noise in Market-like JPEG files (64 pixels wide, 128 high) in a temporary folder, weights are
random. Rates are medians over steps; a loader's is per second of CPU time, all threads counted.
"""

import argparse
import contextlib
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode
from yacs.config import CfgNode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reid import builders
from reid.config import load_cfg
from reid.engine.optim import parameter_groups
from reid.engine.trainer import Trainer
from reid.utils.allocator import keep_freed_memory
from reid.utils.batch import Batch, to_unit
from reid.utils.environment import choose_device, describe, deterministic

PLAIN = ["SOLVER.PRECISION", "fp32", "SOLVER.COMPILE", "False", "DATALOADER.CACHE", "none"]
CAMERAS = 6
# What operations of torch are called that do the work of a step.
KINDS = {
    "convolution": ("conv",),
    "normalization": ("batch_norm", "BatchNorm", "layer_norm"),
    "activation": ("threshold", "clamp_min", "relu", "gelu", "silu"),
    "copies and casts": ("copy", "clone", "fill"),
    "pooling": ("pool",),
    "optimizer": ("adam", "Adam", "sgd", "SGD", "ptimizer"),
    "sums of branches": ("add",),
    "products of matrices": ("mm", "matmul", "linear"),
}
Step = Callable[[Batch], object]


def write_images(root: Path, num_ids: int, each: int, seed: int = 0) -> None:
    """Writes a Market-1501 folder of noise, smooth enough to compress as photographs do."""
    rng = np.random.default_rng(seed)
    for split, first in (("bounding_box_train", 1), ("query", 9000), ("bounding_box_test", 9000)):
        folder = root / "market1501" / split
        folder.mkdir(parents=True)
        for pid in range(first, first + (num_ids if first == 1 else 1)):
            for i in range(each if first == 1 else 2):
                coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8))
                name = f"{pid:04}_c{i % CAMERAS + 1}s1_{i:06}_00.jpg"
                coarse.resize((64, 128), Image.Resampling.BICUBIC).save(folder / name, quality=90)


def build_run(args: argparse.Namespace, root: Path, more: Sequence[str]) -> tuple[CfgNode, Trainer]:
    """Builds a run on the noise, as tools/train.py would."""
    fixed = ["MODEL.PRETRAIN_CHOICE", "none", "DATASETS.NAMES", "market1501"]
    places = ["DATASETS.ROOT_DIR", str(root), "OUTPUT_DIR", str(root / "run")]
    cfg = load_cfg(args.config_file, [*fixed, *places, *args.overrides, *more])
    quiet = logging.getLogger("bench")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    trainer = builders.build_trainer(cfg, quiet)
    trainer.model.train()
    trainer.criterion.train()
    return cfg, trainer


def our_step(trainer: Trainer) -> Step:
    """Returns the trainer's own update."""

    def step(batch: Batch) -> None:
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.backward(batch)
        trainer.update()

    return step


def plain_step(cfg: CfgNode, trainer: Trainer) -> Step:
    """Returns the same update the plain way."""
    model = trainer.model.to(memory_format=torch.contiguous_format)
    groups = parameter_groups(model, cfg.SOLVER.BASE_LR, cfg.SOLVER.WEIGHT_DECAY)
    optimizer = torch.optim.Adam(groups, fused=False)

    def step(batch: Batch) -> None:
        images = to_unit(batch.images.contiguous()).to(trainer.device)
        loss = trainer.criterion(model(images), batch.labels.to(trainer.device))["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def wait(device: torch.device) -> None:
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def step_seconds(step: Step, batches: Iterable[Batch], device: torch.device) -> list[float]:
    """Returns the seconds from the end of one step to that of the next, without the first two."""
    marks = []
    for batch in batches:
        step(batch)
        wait(device)
        marks.append(time.perf_counter())
    return np.diff(marks)[1:].tolist()


def rates(
    step: Step, trainer: Trainer, batch: Batch, steps: int, rounds: int = 2
) -> tuple[float, float]:
    """Returns images a second of the step on one batch and of the whole loop.

    In turns, so that a machine that grows slower or faster does so for both.
    """
    alone, loop = [], []
    for _ in range(rounds):
        alone += step_seconds(step, [batch] * (2 + steps), trainer.device)
        loop += step_seconds(step, cycle(trainer, 2 + steps), trainer.device)
    size = len(batch.labels)
    return size / statistics.median(alone), size / statistics.median(loop)


def kept_and_given_back(args: argparse.Namespace) -> tuple[float, float]:
    """Returns images a second of the step with freed memory kept and given back.

    There is no way back from keeping it, so each is timed in processes of its own, in turns.
    """
    rates: dict[str, list[float]] = {"kept": [], "given-back": []}
    settings = ["--config-file", args.config_file, "--steps", str(args.steps), *args.overrides]
    for memory in ("given-back", "kept") * 2:
        command = [sys.executable, __file__, *settings, "--memory", memory]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rates[memory].append(float(done.stdout.split()[-1]))
    return max(rates["kept"]), max(rates["given-back"])


def bench_memory(args: argparse.Namespace, root: Path) -> None:
    """Prints images a second of the step alone."""
    if args.memory == "kept":
        keep_freed_memory()
    trainer = build_run(args, root, [])[1]
    batch = next(iter(cycle(trainer, 1)))
    seconds = step_seconds(our_step(trainer), [batch] * (2 + args.steps), trainer.device)
    print(len(batch.labels) / statistics.median(seconds))


def loader_rate(batches: Iterable[Batch]) -> float:
    """Returns images a second of CPU time, without the first batch."""
    loader = iter(batches)
    next(loader)
    start, images = time.process_time(), 0
    for batch in loader:
        images += len(batch.labels)
    return images / (time.process_time() - start)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keeps the process, background threads too, on one core where the system allows it."""
    threads, movable = torch.get_num_threads(), hasattr(os, "sched_setaffinity")
    cores = os.sched_getaffinity(0) if movable else set()
    torch.set_num_threads(1)
    if movable:
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if movable:
            os.sched_setaffinity(0, cores)


def cycle(trainer: Trainer, steps: int) -> Iterable[Batch]:
    """Yields ``steps`` batches over as many epochs as that takes."""
    epoch = 0
    while True:
        epoch += 1
        trainer.sampler.set_epoch(epoch)
        for batch in trainer.loader:
            yield batch
            steps -= 1
            if steps == 0:
                return


def regularizer_seconds(trainer: Trainer, batch: Batch, stage: str) -> float:
    """Times a regularizer alone on the map that it gets, less what the identity takes.

    The whole step with and without it differs by less than two steps differ.
    """
    regularizer, maps = trainer.model.regularizers[stage], []
    hook = regularizer.register_forward_pre_hook(lambda module, inputs: maps.append(inputs[0]))
    trainer.backward(batch)
    hook.remove()
    x = maps[0].detach().requires_grad_()
    upstream, times = torch.randn_like(x), {regularizer: [], torch.nn.Identity(): []}
    for _ in range(15):
        for module, found in times.items():
            fresh = x + 0  # a leaf could not be written to
            wait(trainer.device)
            start = time.perf_counter()
            module(fresh).backward(upstream)
            wait(trainer.device)
            found.append(time.perf_counter() - start)
            x.grad = None
    with_it, without = (statistics.mean(found[3:]) for found in times.values())
    return with_it - without


def parts(trainer: Trainer, batch: Batch) -> list[tuple[str, float]]:
    """Returns kinds of operations and their shares of the time of a step, the largest first."""
    kind = "cuda" if trainer.device.type == "cuda" else "cpu"
    step = our_step(trainer)
    step(batch)
    with profile() as found:
        step(batch)
        wait(trainer.device)
    spent: dict[str, float] = {}
    for event in found.key_averages():
        fits = (name for name, words in KINDS.items() if any(word in event.key for word in words))
        name = next(fits, "other")
        time_of = event.self_device_time_total if kind == "cuda" else event.self_cpu_time_total
        spent[name] = spent.get(name, 0.0) + time_of
    total = sum(spent.values())
    return [(k, spent[k] / total) for k in sorted(spent, key=lambda k: -spent[k])]


def peak_flops(dtype: torch.dtype, device: torch.device) -> float:
    """Measures the best rate of a square matrix product, operations a second."""
    size = 8192 if device.type == "cuda" else 2048
    a = torch.randn(size, size, device=device).to(dtype)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        wait(device)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def flops_per_image(trainer: Trainer, batch: Batch) -> float:
    """Counts the operations of one forward and backward pass."""
    with FlopCounterMode(display=False) as counter:
        trainer.backward(batch)
    return counter.get_total_flops() / len(batch.labels)


def show(name: str, ours: float, plain: float | None = None, of: str = "plain") -> None:
    """Prints a rate, and its ratio to another."""
    ratio = f"{ours / plain:8.2f} x {of} ({plain:.1f})" if plain else ""
    print(f"{name:<42}{ours:10.1f} images/s {ratio}", flush=True)


def bench_backbones(args: argparse.Namespace, root: Path) -> None:
    """Times the step of the config's network and of another one, in turns, and prints the ratio.

    On the CPU in seconds of CPU time, which neighbours on the machine change little.
    """
    cfg, ours = build_run(args, root, [])
    names = (cfg.MODEL.BACKBONE.NAME, args.against)
    other = build_run(args, root, ["MODEL.BACKBONE.NAME", args.against])[1]
    batch, device = next(iter(cycle(ours, 1))), ours.device
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    print(describe(device))
    print(f"{tuple(cfg.INPUT.SIZE_TRAIN)}, batch {len(batch.labels)}, {ours.precision}")
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(2 + args.steps):
        for name, trainer in zip(names, (ours, other), strict=True):
            wait(device)
            start = clock()
            our_step(trainer)(batch)
            wait(device)
            found[name].append(clock() - start)
    rates = [len(batch.labels) / statistics.median(found[name][2:]) for name in names]
    show(f"step of {names[0]}", rates[0])
    show(f"step of {names[1]}", rates[1], rates[0], of=names[0])


def bench(args: argparse.Namespace, root: Path) -> None:
    """Runs every comparison and prints it."""
    cfg, ours = build_run(args, root, [])
    plain_cfg, plain = build_run(args, root, PLAIN)
    device, batch = ours.device, next(iter(cycle(ours, 1)))
    print(describe(device))
    print(
        f"{cfg.MODEL.BACKBONE.NAME} {tuple(cfg.INPUT.SIZE_TRAIN)}, batch {len(batch.labels)},"
        f" {ours.precision or torch.float32}, {cfg.MODEL.REGULARIZER.NAME}"
    )
    single = build_run(args, root, [*PLAIN, "DATALOADER.NUM_WORKERS", "0"])[1]
    with one_core():
        plainly = loader_rate(cycle(single, 1 + args.loader_steps))
        show("loader, a core", loader_rate(cycle(ours, 1 + 10 * args.loader_steps)), plainly)

    keep_freed_memory()
    slow_alone, slow_loop = rates(plain_step(plain_cfg, plain), plain, batch, args.steps, rounds=1)
    alone, loop = rates(our_step(ours), ours, batch, args.steps)
    show("step on one batch", alone, slow_alone)
    show("whole loop", loop, slow_loop)
    if device.type == "cpu":
        show("step on one batch", *kept_and_given_back(args), "memory given back")
    show("whole loop", loop, alone, "step")

    print("time of a step: " + ", ".join(f"{name} {s:.1%}" for name, s in parts(ours, batch)))
    for stage in ours.model.regularizers:
        cost = regularizer_seconds(ours, batch, stage) / (len(batch.labels) / alone)
        name = f"{cfg.MODEL.REGULARIZER.NAME} after {stage}, forward and backward"
        print(f"{name:<42}{cost:10.2%} of a step")
    rate, peak = (
        alone * flops_per_image(ours, batch),
        peak_flops(ours.precision or torch.float32, device),
    )
    print(f"{rate / 1e12:.3f} of {peak / 1e12:.3f} TFLOP/s of a matrix product: {rate / peak:.0%}")
    if device.type == "cuda":
        print(
            f"peak memory on the device {torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB"
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak resident memory {memory:.2f} GiB")


def main() -> None:
    """Reads the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each kind")
    parser.add_argument("--loader-steps", type=int, default=10, help="timed batches of the loader")
    parser.add_argument(
        "--memory", choices=("kept", "given-back"), help="time the step alone, in this way"
    )
    parser.add_argument("--against", help="compare with this network, and time nothing else")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_images(root, num_ids=100, each=8)
        device = choose_device(load_cfg(args.config_file, args.overrides).MODEL.DEVICE)
        with deterministic(device, load_cfg(args.config_file, args.overrides).SOLVER.DETERMINISTIC):
            work = bench_backbones if args.against else bench_memory if args.memory else bench
            work(args, root)


if __name__ == "__main__":
    main()
