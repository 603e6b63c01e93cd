"""Says whether two images show the same person.

reid test --config-file market_lfm.yml TEST.WEIGHT outputs/x/best.pth TEST.VERIFICATION True
reid verify a.jpg b.jpg --weight outputs/x/best.pth
reid verify a.jpg b.jpg --weight outputs/x/best.pth --rate 1e-4
reid verify a.jpg b.jpg --weight outputs/x/best.pth --threshold 0.6

It ends with 0 if they do, with 1 if they do not, and with 2 if it cannot tell.
"""

import argparse
import sys

from reid.cli._arguments import path
from reid.utils.errors import InputError

HELP = "say whether two images show the same person"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("images", type=path, nargs=2, metavar="IMAGE", help="a crop of a person")
    parser.add_argument(
        "--weight", type=path, required=True, metavar="FILE", help="a checkpoint, or a run's folder"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="the same person above this cosine similarity; else that of the test is taken, which"
        " TEST.VERIFICATION True wrote beside the checkpoint",
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="RATE",
        help="false-accept rate of the test's threshold: 1e-2, 1e-3 (the default) or 1e-4",
    )
    parser.add_argument(
        "--figures", type=path, metavar="JSON", help="a verification.json from another place"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        nargs=2,
        action="append",
        default=[],
        metavar=("KEY", "VALUE"),
        help="a setting that goes before the one in the checkpoint",
    )


def run(args: argparse.Namespace) -> None:
    """Prints the answer."""
    threshold = args.threshold
    if threshold is not None and not -1 <= threshold <= 1:
        raise InputError(f"--threshold must be a cosine similarity in [-1, 1], got {threshold}")
    if threshold is not None and (args.rate is not None or args.figures is not None):
        raise InputError("--threshold takes neither --rate nor --figures beside it")
    from reid.jobs.verification import verify

    first, second = args.images
    overrides = tuple(text for pair in args.overrides for text in pair)
    answer = verify((first, second), args.weight, threshold, args.rate, args.figures, overrides)
    print(answer.text)
    if not answer.same:
        sys.exit(1)
