"""Says whether one recipe is better than another, and how sure that is.

reid compare lfm=outputs/a,outputs/b,outputs/c plain=outputs/d,outputs/e,outputs/f
reid compare outputs/ablation --baseline plain --latex table.tex
reid compare outputs/ablation --interaction lfm_erasing lfm erasing

Each group is a name and the OUTPUT_DIRs of its training seeds, tested by `reid test` and attacked
by `reid attack`. Or name the folder of a study, whose folders VARIANT/RUN hold runs, or the file
that `reid ablate --export` wrote. All groups are compared with the baseline: the last one, that of
the study, or --baseline. What is computed: docs/statistics.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reid.cli._arguments import path

if TYPE_CHECKING:
    from reid.jobs.comparing.question import Primary

HELP = "compare groups of runs: differences, intervals, tests"
# As in reid.jobs.comparing.question and reid.jobs.comparing.measures, which take seconds to import.
METRICS = ("mAP", "rank1", "rank5", "mINP", "success")
KINDS = ("test", "attack", "corruption")
PAIRINGS = ("auto", "paired", "independent")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "groups",
        nargs="+",
        metavar="NAME=DIR[,DIR...]",
        help="or one STUDY, its folder or its file",
    )
    parser.add_argument("--baseline", metavar="NAME", help="what the others are compared with")
    parser.add_argument(
        "--variants", nargs="+", default=(), metavar="NAME", help="some of the study; default: all"
    )
    parser.add_argument("--metric", choices=METRICS, default="mAP")
    parser.add_argument(
        "--ranking", action="append", metavar="NAME", help='"plain", "re-ranked", ...; default: all'
    )
    parser.add_argument(
        "--only", action="append", choices=KINDS, help="one table instead of all; may be repeated"
    )
    parser.add_argument(
        "--seeds",
        choices=PAIRINGS,
        default="auto",
        help="whether runs of one seed are pairs; auto: if both groups have the same seeds",
    )
    parser.add_argument(
        "--interaction",
        action="append",
        nargs="+",
        metavar="NAME",
        help="does ONE add as much on top of OTHER as alone? BOTH ONE OTHER, over the baseline or a"
        " fourth name; or a group and a ranking: lfm re-ranked; default: those of the study",
    )
    parser.add_argument(
        "--primary",
        action="append",
        nargs="+",
        metavar="NAME",
        help="a comparison that was named before the runs: a group, or an interaction as"
        " BOTH,ONE,OTHER; then its row (clean) and its metric (mAP). It stands first, and is"
        " corrected for the others of its kind alone; default: those of the study",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    parser.add_argument("--resamples", type=int, default=10_000)
    for style in ("markdown", "csv", "latex"):
        note = "write this file, and FILE.json, which says what it is made of"
        parser.add_argument(f"--{style}", type=path, metavar="FILE", help=note)


def run(args: argparse.Namespace) -> None:
    """Prints the tables, and writes them."""
    from reid.jobs.compare import compare_runs
    from reid.jobs.comparing.question import Question
    from reid.jobs.comparing.record import FORMATS, write_table
    from reid.jobs.comparing.selection import select
    from reid.statistics.tables import as_text
    from reid.utils.console import tell
    from reid.utils.errors import InputError

    if args.seed < 0:
        raise InputError(f"--seed must be at least 0, got {args.seed}")
    if not 100 <= args.resamples <= 10**6:
        raise InputError(f"--resamples must be from 100 to 1000000, got {args.resamples}")
    chosen = select(args.groups, args.baseline, args.variants)
    question = Question(
        kinds=args.only or (),
        metric=args.metric,
        rankings=args.ranking or (),
        pairing=args.seeds,
        seed=args.seed,
        resamples=args.resamples,
        interactions=args.interaction or chosen.interactions,
        primary=[_primary(words, list(chosen.groups)) for words in args.primary or ()]
        or chosen.primary,
    )
    answer = compare_runs(chosen, question)
    for line in answer.cautions:
        tell(f"warning: {line}")
    print("\n\n".join(as_text(table) for table in answer.tables))
    files: dict[str, Path | None] = {style: getattr(args, style) for style in FORMATS}
    for style, file in files.items():
        if file is not None:
            write_table(file, style, chosen, question, answer)
            print(f"written: {file}, {file}.json")


def _primary(words: Sequence[str], groups: Sequence[str]) -> "Primary":
    """Reads COMPARED [ROW [METRIC]]."""
    from reid.jobs.comparing.question import Primary
    from reid.utils.errors import InputError

    if len(words) > 3 or (len(words) == 3 and words[2] not in METRICS):
        raise InputError(
            f"--primary {' '.join(words)}: write a group, its row and its metric, such as"
            f' lfm "pgd-fna 4" mAP; metrics: {", ".join(METRICS)}'
        )
    compared, *rest = words
    return Primary([compared] if compared in groups else compared.split(","), *rest)
