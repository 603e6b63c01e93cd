"""Times PGD-10 beside 10 plain forward and backward passes to the pixels, on the same batches.

An attack has to pay for the passes; the ratio says what else it costs. Both ways run in turns, and
on a CPU processor time is counted, so that a neighbour on the machine counts little.

    python scripts/bench_attack.py
    python scripts/bench_attack.py --backbone resnet18 --size 128 64 --precision bf16
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from reid.evaluation.features import Embedding, Features
from reid.modeling import BACKBONES, HEADS, ReIDModel
from reid.robustness.attack import Perturber, RetrievalAttack, frozen
from reid.robustness.attacks import ATTACKS
from reid.robustness.guides import Guides
from reid.robustness.objectives import OBJECTIVES
from reid.utils.batch import Batch, to_unit
from reid.utils.environment import choose_device, choose_precision, describe

STEPS, PEOPLE = 10, 16
NAMES = ("sma", "metric", "fna", "margin", "smooth_ap")
RIGHT, OTHERS = 20, 3000  # gallery images of each person, and of people who are not asked for


def main() -> None:
    """Reads the command line and prints seconds and the ratio for each attack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50", choices=BACKBONES.names())
    parser.add_argument("--size", type=int, nargs=2, default=(256, 128), metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--objectives", nargs="+", default=NAMES, choices=NAMES)
    args = parser.parse_args()
    device = choose_device(args.device)
    print(describe(device))
    backbone = BACKBONES[args.backbone]()
    head = HEADS["bnneck"](feat_dim=backbone.feat_dim, num_classes=100)
    model = ReIDModel(backbone, head, {}, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    model = model.to(device).to(memory_format=torch.channels_last).eval()
    embed = Embedding(model, dtype=choose_precision(args.precision, device))
    batch = noise_batch(args.batch, tuple(args.size))
    with torch.no_grad():  # an evaluation has made these features before it attacks
        before = embed(
            to_unit(batch.images.to(device)).contiguous(memory_format=torch.channels_last)
        )
    guides = noise_guides(before)
    print(f"{args.backbone} {tuple(args.size)}, batch {args.batch}, {args.precision}")
    for name in args.objectives:
        method = ATTACKS["pgd"](eps=8 / 255, steps=STEPS)
        attack = RetrievalAttack(f"pgd-{name}", method, OBJECTIVES[name]())
        perturb = Perturber(attack, embed, guides, seed=0)
        images = to_unit(batch.images.to(device))
        with frozen(embed):
            report(
                f"PGD-{STEPS} {name}",
                lambda perturb=perturb, images=images: perturb(images, batch),
                lambda images=images: plain_passes(embed, images),
                args.repeats,
                args.batch,
                device,
            )


def plain_passes(embed: Embedding, images: Tensor) -> Tensor:
    """Forward and backward to the pixels, STEPS times."""
    images = images.contiguous(memory_format=torch.channels_last)
    for _ in range(STEPS):
        x = images.detach().requires_grad_()
        (grad,) = torch.autograd.grad(embed(x).square().sum(), x)
    return grad


def report(
    name: str,
    ours: Callable[[], Tensor],
    plain: Callable[[], Tensor],
    repeats: int,
    batch: int,
    device: torch.device,
) -> None:
    """Times both in turns and prints medians."""
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    for turn in range(repeats + 1):
        for key, work in (("ours", ours), ("plain", plain)):
            start = clock()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first one warms up
                seconds[key].append(clock() - start)
    a, b = (statistics.median(seconds[key]) for key in ("ours", "plain"))
    ratio = statistics.median(x / y for x, y in zip(*seconds.values(), strict=True))
    rate = batch * STEPS / a
    print(f"{name:<16}{a:8.2f} s  {rate:8.1f} images x steps/s  {ratio:6.3f} x plain ({b:.2f} s)")


def noise_batch(size: int, shape: tuple[int, int]) -> Batch:
    """Random images of PEOPLE identities."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (size, 3, *shape), dtype=torch.uint8, generator=rng)
    pids = torch.arange(size) % PEOPLE + 1
    zeros = torch.zeros(size, dtype=torch.int64)
    return Batch(images, zeros - 1, pids, zeros, torch.arange(size))


def noise_guides(before: Tensor) -> Guides:
    """Random unit features of a gallery of a few thousand images."""
    rng = torch.Generator().manual_seed(1)
    size = PEOPLE * RIGHT + OTHERS
    feats = torch.nn.functional.normalize(torch.randn(size, before.shape[1], generator=rng))
    asked = torch.arange(1, PEOPLE + 1).repeat_interleave(RIGHT)
    pids = torch.cat([asked, torch.arange(OTHERS) // RIGHT + PEOPLE + 1]).numpy()
    return Guides(Features(feats.to(before.device), pids, pids * 0 + 1), before=before)


if __name__ == "__main__":
    main()
