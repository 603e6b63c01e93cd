"""Trains a model: ``tools/train.py --config-file configs/market_lfm.yml [KEY VALUE ...]``."""

from pathlib import Path

from reid.config import load_cfg
from reid.engine.trainer import BEST
from reid.jobs.test import test
from reid.jobs.train import train
from reid.utils import cli


def main() -> None:
    """Reads the command line; trains, or evaluates."""
    parser = cli.config_parser("Train a person re-ID model.")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from OUTPUT_DIR/last.pth; starts afresh where there is none",
    )
    parser.add_argument(
        "--eval-only",
        action="store_true",
        help="only evaluate TEST.WEIGHT, or OUTPUT_DIR/best.pth where that is empty",
    )
    args = parser.parse_intermixed_args()
    cfg = load_cfg(args.config_file, args.overrides)
    if args.eval_only:
        test(cfg, Path(cfg.TEST.WEIGHT or Path(cfg.OUTPUT_DIR) / BEST))
    else:
        train(cfg, args.resume)


if __name__ == "__main__":
    cli.run(main)
