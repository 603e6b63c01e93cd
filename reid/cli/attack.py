"""Attacks a model, and reports what is left of its retrieval.

    reid attack --config-file market_lfm.yml TEST.WEIGHT outputs/market_lfm/last.pth --sanity
    reid attack TEST.WEIGHT outputs/market_lfm/last.pth

Without --config-file the checkpoint's own config is taken.
Clean and attacked retrieval in one table, curves, JSON and CSV in OUTPUT_DIR/attack. Each finished
attack is on the disk at once: the same command goes on where a run was stopped.
"""

import argparse
from pathlib import Path

from reid.cli._arguments import add_config, path, weight_config
from reid.utils.allocator import keep_freed_memory
from reid.utils.errors import InputError

HELP = "attack a checkpoint, and report what is left of its retrieval"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser, required=False)
    parser.add_argument(
        "--sanity",
        action="store_true",
        help="check the attack and the model's gradients as well (ATTACK.SANITY True)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin anew, and not where a stopped run was"
    )
    parser.add_argument(
        "--surrogate-weight",
        type=path,
        metavar="PTH",
        help="make the adversarial images on this model instead (black box by transfer)",
    )
    parser.add_argument(
        "--surrogate-config", metavar="YML", help="its config; --config-file unless given"
    )


def run(args: argparse.Namespace) -> None:
    """Attacks TEST.WEIGHT."""
    if args.surrogate_config is not None and args.surrogate_weight is None:
        raise InputError("--surrogate-config goes with --surrogate-weight, which is missing")
    keep_freed_memory()
    from reid.config import load_cfg

    more = ["ATTACK.SANITY", "True"] if args.sanity else []
    cfg = weight_config(args.config_file, [*args.overrides, *more])
    surrogate = None
    if args.surrogate_weight is not None:
        shared = ["MODEL.DEVICE", cfg.MODEL.DEVICE, "ATTACK.PRECISION", cfg.ATTACK.PRECISION]
        seen = load_cfg(args.surrogate_config, shared) if args.surrogate_config else cfg
        surrogate = (seen, args.surrogate_weight)
    from reid.jobs.attack import attack

    attack(cfg, Path(cfg.TEST.WEIGHT), surrogate, args.restart)
