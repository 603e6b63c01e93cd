"""Makes a checkpoint with its config of other people's weights.

reid convert market_sbs_R50.pth -o weights/sbs.pth
reid test --config-file weights/sbs.yml TEST.WEIGHT weights/sbs.pth
reid train --config-file weights/sbs.yml OUTPUT_DIR outputs/fine_tuned
reid convert net_last.pth -o weights/stride1.pth MODEL.BACKBONE.RESNET50.LAST_STRIDE 1
reid convert mobilenet.pt -o weights/mobile.pth --by-order --network torchvision:mobilenet_v2
reid convert outputs/market_lfm/last.pth -o market_lfm.safetensors
"""

import argparse

from reid.cli._arguments import path
from reid.utils.errors import InputError

HELP = "make a checkpoint with its config of other people's weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("source", type=path, metavar="SRC", help="the file with weights")
    parser.add_argument(
        "-o",
        "--output",
        type=path,
        required=True,
        metavar="OUT",
        help="the checkpoint, .pth or .safetensors; its config gets the ending .yml",
    )
    parser.add_argument(
        "--from",
        dest="family",
        default="",
        metavar="FAMILY",
        help="the project that the file is from, where its names do not tell: fast-reid, layumi,"
        " plain, strong-baseline, torchreid, transreid",
    )
    parser.add_argument(
        "--network",
        default="",
        metavar="NAME",
        help="the network of a file that holds a bare one: torchvision:mobilenet_v2, osnet_x1_0",
    )
    parser.add_argument(
        "--by-order",
        action="store_true",
        help="the names are foreign: pair tensors with the network's one after another",
    )
    parser.add_argument(
        "--camera",
        default="",
        metavar="N",
        help="of a network that is told the camera of each image (TransReID's SIE): take all images"
        " for those of camera N, or of the `mean` of all",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY VALUE",
        help="settings that the weights were trained with, where they are not those of the family",
    )


def run(args: argparse.Namespace) -> None:
    """Writes the checkpoint and its config, and lists each key."""
    from reid.jobs.convert import convert_file
    from reid.weights import Options

    if len(args.overrides) % 2:
        raise InputError(f"KEY VALUE pairs are expected, '{args.overrides[-1]}' has no partner")
    options = Options(args.network, args.camera) if args.network or args.camera else None
    family = args.family.replace("-", "_").lower()
    done = convert_file(args.source, args.output, args.overrides, family, options, args.by_order)
    print(done)
