"""Writes a model as a file that runs elsewhere: uint8 pixels in, features out.

reid export outputs/market_lfm --to onnx -o market_lfm.onnx
reid export outputs/market_lfm/last.pth --to torch -o market_lfm.pt2 --no-time
reid export outputs/market_lfm --to onnx -o market_lfm.onnx --int8
reid export weights/sbs.pth --to onnx -o sbs.onnx --no-test --no-time TEST.FLIP True
"""

import argparse

from reid.cli._arguments import path

HELP = "write a model as an ONNX file, or as a program of torch.export"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "source", type=path, metavar="RUN|WEIGHT", help="a run's folder, or a checkpoint"
    )
    parser.add_argument(
        "--to", choices=("onnx", "torch"), default="onnx", help="kind of the file; default: onnx"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=path,
        required=True,
        metavar="FILE",
        help="the file, .onnx or .pt2; it is not written if its features differ by more than 1e-5",
    )
    parser.add_argument("--no-test", action="store_true", help="do not evaluate it on the test set")
    parser.add_argument("--no-time", action="store_true", help="do not measure how fast it is")
    parser.add_argument(
        "--int8",
        action="store_true",
        help="write FILE.int8.onnx, too, if it loses at most one point of mAP",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY VALUE",
        help="settings that go before those in the checkpoint, e.g. DATASETS.ROOT_DIR ~/data",
    )


def run(args: argparse.Namespace) -> None:
    """Writes, checks, tests and times the file."""
    from reid.jobs.export import Wish, export

    wish = Wish(not args.no_test, not args.no_time, args.int8)
    export(args.source, args.output, args.to, wish, args.overrides)
