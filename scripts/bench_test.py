"""Times the extraction of a test: float32 beside bf16, and flip averaging beside one pass.

    python scripts/bench_test.py --config-file configs/market_lfm.yml --images 64
    python scripts/bench_test.py --config-file configs/synthetic_lfm.yml

Files are read, decoded and embedded as ``reid test`` does it; the ways take turns, and the least of
several rounds counts. The images are noise in Market-like JPEG files, weights are random: what bf16
does to mAP needs a trained model (docs/performance.md).
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

import torch
from bench_train import write_images

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reid import builders
from reid.builders.data import build_eval_loader
from reid.builders.model import build_embedding, build_model
from reid.config import load_cfg
from reid.evaluation.features import Features, extract
from reid.utils.allocator import keep_freed_memory
from reid.utils.environment import choose_device, describe


def main() -> None:
    """Reads the arguments and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        bench(args, Path(folder))


def bench(args: argparse.Namespace, root: Path) -> None:
    """Runs the comparison and prints it."""
    write_images(root, num_ids=args.images // 8, each=8)
    fixed = ["MODEL.PRETRAIN_CHOICE", "none", "DATASETS.NAMES", "market1501"]
    places = ["DATASETS.ROOT_DIR", str(root), "OUTPUT_DIR", str(root / "run")]
    base = [*fixed, *places, *args.overrides]
    cfg = load_cfg(args.config_file, base)
    device = choose_device(cfg.MODEL.DEVICE)
    logger = logging.getLogger("bench")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    records = builders.load_splits(cfg, True, logger).train
    model = build_model(cfg, args.images // 8, False).to(device)
    ways = [(precision, flip) for flip in (False, True) for precision in ("fp32", "bf16")]
    seconds = dict.fromkeys(ways, float("inf"))
    found: dict[tuple[str, bool], Features] = {}
    for _ in range(args.rounds):  # in turns: a busy machine is busy for all
        for precision, flip in ways:
            more = ["TEST.PRECISION", precision, "TEST.FLIP", str(flip)]
            one = load_cfg(args.config_file, [*base, *more])
            loader = build_eval_loader(one, records, device, "gallery", once=True)
            start = time.process_time() if device.type == "cpu" else time.perf_counter()
            found[precision, flip] = extract(build_embedding(one, model), loader, device)
            now = time.process_time() if device.type == "cpu" else time.perf_counter()
            seconds[precision, flip] = min(seconds[precision, flip], now - start)
    print(describe(device))
    size = tuple(cfg.INPUT.SIZE_TEST)
    print(f"{cfg.MODEL.BACKBONE.NAME} {size}, {len(records)} images, torch {torch.__version__}")
    unit = "second of CPU" if device.type == "cpu" else "second"
    for (precision, flip), spent in seconds.items():
        words = [f"{len(records) / spent:8.1f} images a {unit}"]
        if precision == "bf16":
            words.append(f"{seconds['fp32', flip] / spent:.2f} x fp32")
        if flip:
            words.append(f"{spent / seconds[precision, False]:.2f} passes")
        print(f"{precision}{', flip' if flip else '':<8}{'   '.join(words)}")
    exact, other = (found[precision, False].feats for precision in ("fp32", "bf16"))
    cosine = torch.nn.functional.cosine_similarity(exact, other).min()
    print(f"least cosine of a feature in bf16 with that in fp32: {float(cosine):.5f}")


if __name__ == "__main__":
    main()
