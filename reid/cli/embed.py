"""Writes the features of images with their paths; needs no labels and no cameras.

    reid embed outputs/x/best.pth crops -o feats.npz
    reid embed outputs/x/best.pth people.csv 'more/**/*.jpg' -o feats.npz DATALOADER.ON_ERROR skip
    torchrun --nproc-per-node 8 tools/embed.py outputs/x/best.pth crops -o feats

WEIGHT is a checkpoint, which carries its config, or a file of another project that `reid convert`
knows. SOURCE is a folder, a list (.csv with a column path, .txt with a path on each line), a
pattern, or an image. The features are those of `reid test`. The same command goes on where it was
interrupted. Without the ending .npz, OUT is a folder, whose feats.npy can be mapped.
"""

import argparse

from reid.cli._arguments import add_device, add_sources, path, split_sources
from reid.utils.allocator import keep_freed_memory

HELP = "write the features of a folder, a list or a pattern of images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("weight", type=path, metavar="WEIGHT", help="the checkpoint")
    add_sources(parser)
    parser.add_argument(
        "-o", "--output", type=path, required=True, metavar="OUT", help="feats.npz, or a folder"
    )
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Writes the features."""
    keep_freed_memory()
    from reid.jobs.embed import embed

    sources, overrides = split_sources(args.sources)
    embed(args.weight, sources, args.output, args.device, overrides)
