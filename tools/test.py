"""Tests a model: ``tools/test.py --config-file FILE TEST.WEIGHT best.pth [KEY VALUE ...]``.

Or features that were saved, also by other frameworks: ``tools/test.py --features saved.npz``.
"""

from pathlib import Path

from reid.config import load_cfg
from reid.evaluation.files import KEYS
from reid.jobs.test import test, test_features
from reid.utils import cli
from reid.utils.errors import InputError


def main() -> None:
    """Reads the command line and tests TEST.WEIGHT or the features."""
    parser = cli.config_parser("Test a person re-ID model.", required=False)
    parser.add_argument(
        "--features",
        type=Path,
        metavar="NPZ",
        help=f"evaluate saved features, without model, images or config: arrays {', '.join(KEYS)}",
    )
    args = parser.parse_intermixed_args()
    if args.config_file is None and args.features is None:
        raise InputError("name what to test: --config-file FILE, or --features NPZ")
    cfg = load_cfg(args.config_file, args.overrides)
    if args.features is not None:
        test_features(cfg, args.features)
    elif cfg.TEST.WEIGHT:
        test(cfg, Path(cfg.TEST.WEIGHT))
    else:
        raise InputError("TEST.WEIGHT is empty: name the checkpoint, e.g. outputs/x/best.pth")


if __name__ == "__main__":
    cli.run(main)
