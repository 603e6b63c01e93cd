"""The job of tools/attack.py, from a config to files."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tabulate import tabulate
from yacs.config import CfgNode

from reid import builders
from reid.builders import attack as build_attack
from reid.builders.common import build_device, output_dir
from reid.config import dump, imported_files, recipe_hash, unused_settings
from reid.data.records import Splits
from reid.evaluation.features import Embedding
from reid.evaluation.retrieval import Retrieval
from reid.jobs.attack_facts import run_facts, shared_settings
from reid.jobs.tested_data import measured_on
from reid.robustness.attack import RetrievalAttack
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.images import distinct
from reid.robustness.pictures import ImageSaver, plot_results
from reid.robustness.pieces import Pieces, begin, run_hash
from reid.robustness.report import (
    as_text,
    pairs_as_text,
    records,
    with_worst_cases,
    write_report,
)
from reid.robustness.result import Result
from reid.robustness.sanity import Check, verdict
from reid.utils import distributed
from reid.utils.code_state import code_state
from reid.utils.environment import command_line, describe, deterministic
from reid.utils.errors import InputError
from reid.utils.lock import locked_folder
from reid.utils.logs import get_logger

FOLDER = "attack"  # in OUTPUT_DIR


def attack(
    cfg: CfgNode,
    weight: Path,
    surrogate: tuple[CfgNode, Path] | None = None,
    restart: bool = False,
) -> list[Result]:
    """Attacks the checkpoint ``weight`` as ATTACK.* says; writes to OUTPUT_DIR/attack.

    Each finished attack is on the disk at once. Where a run of the same facts was stopped, this one
    goes on.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        weight: The model that is evaluated, and seen by the attacker unless there is a surrogate.
        surrogate: Config and checkpoint of a model that the attacker sees instead (transfer).
        restart: Do not go on with a run that was stopped.
    """
    if distributed.active():
        raise InputError("an attack is run by one process; start it without torchrun")
    names = builders.tested_names(cfg)
    if len(names) > 1:
        raise InputError(
            f"an attack takes one data set, and there are {len(names)}: set DATASETS.TESTS to one"
            f" of {', '.join(names)}"
        )
    attacks = build_attack.build_attacks(cfg)
    folder = output_dir(cfg, FOLDER)
    with locked_folder(folder):
        return _attack(cfg, weight, attacks, folder, surrogate, restart)


def _attack(
    cfg: CfgNode,
    weight: Path,
    attacks: list[RetrievalAttack],
    folder: Path,
    surrogate: tuple[CfgNode, Path] | None,
    restart: bool,
) -> list[Result]:
    logger = get_logger(folder, "attack")
    device = build_device(cfg)
    logger.info(describe(device))
    logger.info(f"command: {command_line()}")
    for line in unused_settings(cfg, "attack"):
        logger.warning(f"warning: {line}")
    model, trained = builders.load_with_config(cfg, weight, logger)
    embed = build_attack.build_attack_embedding(cfg, model)
    seen = None
    if surrogate is not None:
        seen = build_attack.build_attack_embedding(
            surrogate[0], builders.load_trained(*surrogate, logger)
        )
    splits = builders.load_splits(cfg, False, logger)
    code = code_state(imported_files(cfg.IMPORTS))
    run_of = run_facts(cfg, weight, surrogate, splits, code, device)
    asked = build_attack.spaced(splits.query, cfg.ATTACK.NUM_QUERIES)
    data = measured_on(cfg, asked, splits.gallery)
    pieces = begin(folder, run_of, restart, logger.info)
    with deterministic(device), _advice(pieces, logger.info):
        evaluator = build_attack.build_robust_evaluator(cfg, embed, splits, cfg.ATTACK.NUM_QUERIES)
        logger.info(_threat(cfg, len(evaluator.clean["query"].pids), surrogate))
        run = _Run(cfg, evaluator, seen or embed, splits, folder, pieces, logger.info)
        run.all(attacks)
        facts = _report_facts(cfg, weight, surrogate, code)
        facts |= {"seed": trained.get("SEED"), "recipe_hash": recipe_hash(cfg, trained), **data}
        facts |= {"run": run_hash(run_of), "num_queries": len(run.results[0].ap)}
        facts |= {"environment": describe(device)}
        results = with_worst_cases(run.results)
        rows = records(results, cfg.SEED)
        write_report(folder, results, rows, [], facts)  # the checks below may be stopped
        plot_results(folder / "curves.png", rows)
        if cfg.ATTACK.SANITY:
            checks = _sanity(cfg, embed, splits, evaluator, seen, attacks, pieces)
            write_report(folder, results, rows, checks, facts)
            logger.info("sanity checks\n" + _check_table(checks))
    pieces.remove()
    logger.info(verdict(checks) if cfg.ATTACK.SANITY else "sanity: not checked; add --sanity")
    logger.info(f"{facts['num_queries']} queries\n{as_text(rows)}")
    pairs = pairs_as_text(rows)
    if pairs:
        logger.info(f"pairs at the thresholds of clean images\n{pairs}")
    logger.info(f"written: {folder}/robustness.json, robustness.csv, per_query.npz, curves.png")
    return results


@contextmanager
def _advice(pieces: Pieces, say: Callable[[str], object]) -> Iterator[None]:
    """Says how to go on if Ctrl-C stops the block."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"stopped; what is finished is in {pieces.folder}, and the same command goes on")
        raise


def _report_facts(
    cfg: CfgNode, weight: Path, surrogate: tuple[CfgNode, Path] | None, code: dict[str, Any]
) -> dict[str, Any]:
    return {
        "command": command_line(),
        "weight": str(weight),
        "surrogate": str(surrogate[1]) if surrogate is not None else None,
        "attack": shared_settings(cfg),
        "config": dump(cfg),
        "commit": code["commit"],
        "code": code,
    }


def _sanity(
    cfg: CfgNode,
    embed: Embedding,
    splits: Splits,
    evaluator: RobustEvaluator,
    seen: Embedding | None,
    attacks: list[RetrievalAttack],
    pieces: Pieces,
) -> list[Check]:
    few = cfg.ATTACK.SANITY_QUERIES
    part = build_attack.build_robust_evaluator(cfg, embed, splits, few, evaluator)
    battery = build_attack.build_sanity_checks(cfg, part, seen, attacks)
    names = cfg.ATTACK.SANITY_CHECKS
    return battery.run(lambda name, check: pieces.check(f"check_{few}_{name}", check), names)


class _Run:
    """Attacks and corruptions one after another, with a line of log for each."""

    def __init__(
        self,
        cfg: CfgNode,
        evaluator: RobustEvaluator,
        attacker: Embedding,
        splits: Splits,
        folder: Path,
        pieces: Pieces,
        say: Callable[[str], object],
    ) -> None:
        self.cfg = cfg
        self.evaluator = evaluator
        self.attacker = attacker
        self.folder = folder / "images"
        self.pieces = pieces
        self.say = say
        self.splits = splits
        self.guides = evaluator.guides(attacker)
        self.results = pieces.start(evaluator.untouched())

    def all(self, attacks: list[RetrievalAttack]) -> None:
        """Runs what the config asks for, except for what an earlier start finished."""
        self._note(self.results)
        plan = self._plan(attacks)
        for name, title in zip(plan, _titles(attacks), strict=False):  # attacks come first
            if self.cfg.ATTACK.SAVE_IMAGES and not (self.folder / title).exists():
                self.pieces.drop(name)  # its images are gone
        done = self.pieces.count(plan)
        if done:
            self.say(f"{done} of {len(plan)} attacks are done, in {self.pieces.folder}; going on")
        for name, make in plan.items():
            self.results += self._note(self.pieces.results(name, make))

    def _plan(self, attacks: list[RetrievalAttack]) -> dict[str, Callable[[], list[Result]]]:
        """Returns what is to be done, by the names of its pieces; a number makes each unique."""
        work: list[tuple[str, Callable[[], list[Result]]]] = []
        for one, title in zip(attacks, _titles(attacks), strict=True):
            work.append((title, partial(self._attack, one, title)))
        for steps, one in build_attack.build_step_curve(self.cfg, attacks):
            work.append((f"{_title(one)}_{steps}_steps", partial(self._steps, steps, one)))
        for name in build_attack.corruption_names(self.cfg):
            for severity in self.cfg.ATTACK.SEVERITIES:
                made = partial(self.evaluator.corrupted, name, severity, CORRUPTIONS[name])
                work.append((f"{name}_{severity}", made))
        return {f"{number:03d}_{name}": make for number, (name, make) in enumerate(work, 1)}

    def _steps(self, steps: int, one: RetrievalAttack) -> list[Result]:
        plain = Retrieval(self.evaluator.protocol.metric, self.evaluator.protocol.chunk)
        (found,) = self.evaluator.attacked(one, self.attacker, self.guides, protocol=plain)
        return [replace(found, kind="steps", facts={**found.facts, "steps": steps})]

    def _attack(self, one: RetrievalAttack, title: str) -> list[Result]:
        a = self.cfg.ATTACK
        if not a.SAVE_IMAGES:
            return self.evaluator.attacked(one, self.attacker, self.guides)
        query = build_attack.spaced(self.splits.query, a.NUM_QUERIES)
        side = query if self.evaluator.side == "query" else self.splits.gallery
        attacked = set(self.guides.identities.tolist())
        saver = ImageSaver(self.folder / title, a.SAVE_IMAGES, side, attacked, a.SAVE_AS == "npz")
        found = self.evaluator.attacked(one, self.attacker, self.guides, saver)
        saver.finish()
        if self.evaluator.side == "query":
            saver.draw(self.folder / f"{title}.png", self.evaluator, self.splits.gallery)
        return found

    def _note(self, results: list[Result]) -> list[Result]:
        for o in results:
            spent = f" {o.facts['seconds']:.1f} s" if "seconds" in o.facts else ""
            steps = f" {o.facts['steps']} steps" if "steps" in o.facts else ""
            passes = f" {o.facts['passes']:.1f} passes" if o.facts.get("passes") else ""
            self.say(
                f"{o.name} {o.level:g}{steps}, {o.ranking}: mAP {o.ap.mean():.1%}"
                f" Rank-1 {o.hit.mean():.1%}{passes}{spent}"
            )
        return results


def _titles(attacks: Sequence[RetrievalAttack]) -> list[str]:
    return distinct([_title(one) for one in attacks])


def _title(one: RetrievalAttack) -> str:
    """Returns name, norm and budget of an attack, as the name of a file."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", f"{one.title}_eps{one.eps_255:.9g}")


def _threat(cfg: CfgNode, queries: int, surrogate: object) -> str:
    height, width = build_attack.pixel_size(cfg)
    return (
        f"threat model: {cfg.ATTACK.SIDE} side perturbed, pixels of {height}x{width} in [0, 1]"
        f" {'rounded to 8 bits' if cfg.ATTACK.ON_GRID else 'not rounded'},"
        f" {'transfer from a surrogate' if surrogate else 'white box'}, {queries} queries"
    )


def _check_table(checks: list[Check]) -> str:
    words = {True: "pass", False: "FAIL", None: "-"}
    return tabulate([(words[c.passed], c.name, c.detail) for c in checks], ("", "check", "found"))
