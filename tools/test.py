"""Tests a model: ``tools/test.py --config-file FILE TEST.WEIGHT best.pth [KEY VALUE ...]``."""

from pathlib import Path

from reid import jobs
from reid.config import load_cfg
from reid.utils import cli
from reid.utils.errors import InputError


def main() -> None:
    """Reads the command line and tests TEST.WEIGHT."""
    args = cli.config_parser("Test a person re-ID model.").parse_intermixed_args()
    cfg = load_cfg(args.config_file, args.overrides)
    if not cfg.TEST.WEIGHT:
        raise InputError("TEST.WEIGHT is empty: name the checkpoint, e.g. outputs/x/best.pth")
    jobs.test(cfg, Path(cfg.TEST.WEIGHT))


if __name__ == "__main__":
    cli.run(main)
