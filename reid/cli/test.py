"""Tests a checkpoint, or features that were saved by any framework.

reid test TEST.WEIGHT outputs/market_lfm/best.pth TEST.RE_RANKING True
reid test --config-file market_lfm.yml TEST.WEIGHT outputs/market_lfm/best.pth
reid test --config-file market_lfm.yml TEST.WEIGHT outputs/market_lfm/best.pth TEST.RE_RANKING True
reid test --features saved.npz TEST.RE_RANKING True OUTPUT_DIR outputs/saved

Without --config-file the checkpoint's own config is taken.
"""

import argparse
from pathlib import Path

from reid.cli._arguments import add_config, path, weight_config
from reid.utils.allocator import keep_freed_memory

HELP = "test a checkpoint, or saved features"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser, required=False)
    parser.add_argument(
        "--features",
        type=path,
        metavar="NPZ_OR_FOLDER",
        help="evaluate saved features, without model, images or config: arrays query_feats,"
        " query_pids, query_camids, gallery_feats, gallery_pids, gallery_camids, and for"
        " TEST.PROTOCOL any_camera query_pictures, gallery_pictures where queries lie in the"
        " gallery. In a folder each array is a file NAME.npy, and features are mapped",
    )


def run(args: argparse.Namespace) -> None:
    """Tests TEST.WEIGHT or the features."""
    if args.features is not None:
        from reid.config import load_cfg

        cfg = load_cfg(args.config_file, args.overrides)
    else:
        keep_freed_memory()
        cfg = weight_config(args.config_file, args.overrides)
    from reid.jobs.each_set import each_set
    from reid.jobs.test import test, test_features

    if args.features is not None:
        test_features(cfg, args.features)
    else:
        each_set(cfg, lambda one: test(one, Path(one.TEST.WEIGHT)))
