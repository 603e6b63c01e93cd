"""Runs a study: variants of a config, each trained, tested and attacked with several seeds.

    reid ablate ablations/lfm_p.yml --dry-run
    reid ablate ablations/lfm_p.yml --preset small --jobs 2
    reid ablate ablations/lfm_p.yml --only 'lfm*/0' OUTPUT_DIR outputs/p DATASETS.ROOT_DIR ~/data
    reid ablate ablations/lfm_p.yml --on slurm --engine slurm_partition=gpu --engine timeout_min=60

The same command goes on where it was stopped. A cell that is done is not run again, one that was
interrupted goes on to the bit, one that failed is tried again. docs/ablations.md says how to write
a file. KEY VALUE go to every cell; OUTPUT_DIR is the folder of the study.

Exit codes: 0 if all cells are done, 1 if not, 2 for a wrong file, 130 after Ctrl-C.
"""

import argparse

from reid.utils.errors import InputError

HELP = "run a study: variants of a config with several seeds"
UNDONE = 1  # exit code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="the study, or the name of a shipped one")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY VALUE",
        help="settings of every cell, or OUTPUT_DIR, SEEDS, DATA_SEEDS, KEEP of the study",
    )
    parser.add_argument("--preset", default="", metavar="NAME", help="one of the file's PRESETS")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the cells and what they cost; run nothing"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="VARIANT[/SEED]",
        help="run these cells; * and ? stand for other letters; may be given several times",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="cells at a time (1)")
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="threads of a cell (those that the study began with, or cores / jobs)",
    )
    parser.add_argument(
        "--replace", action="store_true", help="move runs of older recipes aside, and run them anew"
    )
    parser.add_argument(
        "--on",
        default="here",
        choices=("here", "slurm", "local"),
        help="where the cells run: in processes of this command, as jobs of SLURM, or as jobs of"
        " submitit on this machine",
    )
    parser.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of submitit, such as slurm_partition=gpu; may be given several times",
    )


def run(args: argparse.Namespace) -> None:
    """Runs the study, or says what it costs; exits with 1 if a cell is not done."""
    from reid.utils.checks import check_count

    check_count("--jobs", args.jobs)
    check_count("--threads", args.threads, least=0)
    if args.engine and args.on == "here":
        raise InputError("--engine goes with --on slurm or --on local")
    from reid.jobs.ablate import Options, ablate, dry_run

    options = Options(
        only=args.only,
        jobs=args.jobs,
        threads=args.threads,
        replace=args.replace,
        again=_typed(args),
        where=args.on,
        engine=args.engine,
    )
    if args.dry_run:
        print(dry_run(args.file, args.preset, args.overrides, options))
    elif not ablate(args.file, args.preset, args.overrides, options):
        raise SystemExit(UNDONE)


def _typed(args: argparse.Namespace) -> list[str]:
    """Returns what has to be typed to mean the same study, whichever cells of it."""
    preset = ["--preset", args.preset] if args.preset else []
    return [args.file, *preset, *args.overrides]
