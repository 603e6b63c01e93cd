"""Decodes every image of a data set, and says what would spoil a result.

reid check-data --config-file market_lfm.yml
reid check-data --config-file market_lfm.yml DATASETS.ROOT_DIR ~/data OUTPUT_DIR outputs/check

It needs train, query and gallery. It shows a table and some cases of each finding;
OUTPUT_DIR/check_data.json has all of them. The same picture means exactly the same pixels,
whatever the file is called and however it is encoded. A distractor or junk is no identity.

These would spoil a result; the exit code is 1 if there is one:
  counts_differ                  a count differs from the published one
  unreadable                     an image cannot be decoded
  train_picture_in_test          the same picture is in train and in query or gallery
  picture_of_two_identities      the same picture has two pids in train, or in query and gallery
  searched_person_as_distractor  the same picture is of a query's identity and a distractor
  query_finds_itself             a query's own picture is in the gallery, under another camera
  identity_in_train_and_query    an identity is trained on and searched for
  no_query_has_a_match           no query has a match under another camera

These are only worth knowing; the exit code stays 0:
  query_without_a_match          the query is left out
  query_in_gallery               a query's own picture is in the gallery, under the same camera:
                                 the ranking leaves it out
  repeated_picture               the same picture is more than once in a split under one pid
  identity_of_one_camera         it teaches nothing across cameras
  identity_in_train_and_gallery  an identity is trained on and is a wrong answer to all queries
  odd_mode                       16-bit, float, palette, CMYK and the like, or transparent
  turned                         an EXIF tag turns or mirrors the image
  tiny                           the shorter side is below 16 pixels
  huge                           more than 2 million pixels: perhaps a whole frame

A command that cannot do its work (a folder is missing, say) ends with exit code 2.
"""

import argparse

from reid.cli._arguments import add_config

HELP = "check every image of a data set"
SPOILED = 1  # exit code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_config(parser)
    parser.add_argument(
        "--examples",
        type=int,
        default=3,
        metavar="N",
        help="how many cases of each finding are shown (3)",
    )


def run(args: argparse.Namespace) -> None:
    """Checks the data set; exits with 1 if something would spoil a result."""
    from reid.config import load_cfg
    from reid.jobs.check_data import check_data
    from reid.utils.checks import check_count

    check_count("--examples", args.examples, least=0)
    found = check_data(load_cfg(args.config_file, args.overrides), args.examples)
    if found.spoiled:
        raise SystemExit(SPOILED)
