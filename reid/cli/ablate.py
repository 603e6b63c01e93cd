"""Runs a study: variants of a config, each trained, tested and attacked with several seeds.

    reid ablate ablations/lfm_p.yml --dry-run
    reid ablate ablations/lfm_p.yml --preset small --jobs 2
    reid ablate ablations/lfm_p.yml --only 'lfm*/0' OUTPUT_DIR outputs/p DATASETS.ROOT_DIR ~/data
    reid ablate ablations/lfm_p.yml --export results/lfm_p.json
    reid ablate ablations/lfm_p.yml --known results/lfm_p.json
    reid ablate ablations/lfm_p.yml --on slurm --engine slurm_partition=gpu --engine timeout_min=60

The same command goes on where it was stopped. A cell that is done is not run again, one that was
interrupted goes on to the bit, one that failed is tried again. docs/ablations.md says how to write
a file. KEY VALUE go to every cell; OUTPUT_DIR is the folder of the study.

Exit codes: 0 if all cells are done, 1 if not, 2 for a wrong file, 130 after Ctrl-C.
"""

import argparse

from reid.cli._arguments import path
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
        "--export",
        type=path,
        metavar="JSON",
        help="write what the finished cells found into this small file, for a repository, for"
        " `reid compare JSON` and `reid results JSON`; run nothing",
    )
    parser.add_argument(
        "--known",
        type=path,
        metavar="JSON",
        help="an exported study: cells that it has are taken from it, and not run",
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
    _check_strays(args)
    if args.export is not None:
        _export(args)
        return
    from reid.jobs.ablate import Options, ablate, dry_run

    options = Options(
        only=args.only,
        jobs=args.jobs,
        threads=args.threads,
        replace=args.replace,
        again=_typed(args),
        where=args.on,
        engine=args.engine,
        known=args.known,
    )
    if args.dry_run:
        print(dry_run(args.file, args.preset, args.overrides, options))
    elif not ablate(args.file, args.preset, args.overrides, options):
        raise SystemExit(UNDONE)


def _check_strays(args: argparse.Namespace) -> None:
    """Finds a second word behind an option that takes one: it would be read as a config key."""
    stray = next((word for word in args.overrides[:1] if word != word.upper()), None)
    for option, given in (("--only", args.only), ("--engine", args.engine)):
        if given and stray is not None:
            raise InputError(
                f"{stray} is no config key; if it belongs to {option}, write {option} before each:"
                f" {option} {given[-1]} {option} {stray}"
            )


def _export(args: argparse.Namespace) -> None:
    """Writes the finished cells to a file, and says how many there are."""
    if args.dry_run or args.known or args.only:
        raise InputError("--export runs nothing; leave --dry-run, --known and --only out")
    if args.export.suffix != ".json":
        raise InputError(f"--export must end in .json, got {args.export}")
    from reid.jobs.ablate import export

    held, cells = export(args.file, args.preset, args.overrides, args.export)
    size = args.export.stat().st_size / 2**10
    print(f"written: {args.export}, {held} of {cells} cells, {size:.0f} KiB")


def _typed(args: argparse.Namespace) -> list[str]:
    """Returns what has to be typed to mean the same study, whichever cells of it."""
    preset = ["--preset", args.preset] if args.preset else []
    return [args.file, *preset, *args.overrides]
