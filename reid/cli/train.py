"""Trains the model that a config describes.

reid train --config-file market_lfm.yml
reid train --config-file market_lfm.yml --resume
reid train --config-file market_lfm.yml SOLVER.BASE_LR 1e-4 OUTPUT_DIR outputs/lr1e-4
"""

import argparse
from pathlib import Path

from reid.cli._arguments import add_config
from reid.utils.allocator import keep_freed_memory

HELP = "train the model that a config describes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from OUTPUT_DIR/last.pth; starts afresh where there is none",
    )
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="with --resume: go on although settings, data or precision have changed; the changes"
        " are recorded in the checkpoints",
    )
    parser.add_argument(
        "--eval-only",
        action="store_true",
        help="only evaluate TEST.WEIGHT, or OUTPUT_DIR/best.pth where that is empty",
    )


def run(args: argparse.Namespace) -> None:
    """Trains, or evaluates."""
    keep_freed_memory()
    from reid.config import load_cfg

    cfg = load_cfg(args.config_file, args.overrides)
    if args.eval_only:
        from reid.engine.run_files import BEST
        from reid.jobs.each_set import each_set
        from reid.jobs.test import test

        weight = Path(cfg.TEST.WEIGHT or Path(cfg.OUTPUT_DIR) / BEST)
        each_set(cfg, lambda one: test(one, weight))
        return
    from reid.jobs.train import train

    train(cfg, args.resume, args.accept_changes)
