"""The job of tools/attack.py, from a config to files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate
from yacs.config import CfgNode

from reid import builders
from reid.builders import attack as build_attack
from reid.builders.common import build_device, output_dir
from reid.config import dump, imported_files, leaves
from reid.data.records import Splits
from reid.evaluation.features import Embedding
from reid.evaluation.retrieval import Retrieval
from reid.robustness.attack import RetrievalAttack
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.pictures import ImageSaver, plot_results
from reid.robustness.report import as_text, records, with_worst_cases, write_report
from reid.robustness.result import Result
from reid.robustness.sanity import Check, verdict
from reid.utils import distributed
from reid.utils.code_state import code_state
from reid.utils.environment import describe, deterministic
from reid.utils.errors import InputError
from reid.utils.logs import get_logger

FOLDER = "attack"  # in OUTPUT_DIR


def attack(
    cfg: CfgNode,
    weight: Path,
    sanity: bool = False,
    surrogate: tuple[CfgNode, Path] | None = None,
) -> list[Result]:
    """Attacks the checkpoint ``weight`` as ATTACK.* says; writes to OUTPUT_DIR/attack.

    Args:
        cfg: From :func:`reid.config.load_cfg`.
        weight: The model that is evaluated, and seen by the attacker unless there is a surrogate.
        sanity: Run the checks of :mod:`reid.robustness.sanity` as well.
        surrogate: Config and checkpoint of a model that the attacker sees instead (transfer).
    """
    if distributed.active():
        raise InputError("an attack is run by one process; start it without torchrun")
    attacks = build_attack.build_attacks(cfg)
    folder = output_dir(cfg, FOLDER)
    logger = get_logger(folder, "attack")
    device = build_device(cfg)
    logger.info(describe(device))
    embed = build_attack.build_attack_embedding(cfg, builders.load_trained(cfg, weight, logger))
    seen = None
    if surrogate is not None:
        seen = build_attack.build_attack_embedding(
            surrogate[0], builders.load_trained(*surrogate, logger)
        )
    splits = builders.load_splits(cfg, False, logger)
    with deterministic(device):
        evaluator = build_attack.build_robust_evaluator(cfg, embed, splits, cfg.ATTACK.NUM_QUERIES)
        logger.info(_threat(cfg, len(evaluator.clean["query"].pids), surrogate))
        run = _Run(cfg, evaluator, seen or embed, splits, folder, logger.info)
        run.all(attacks)
        code = code_state(imported_files(cfg.IMPORTS))
        facts = {
            "weight": str(weight),
            "surrogate": str(surrogate[1]) if surrogate is not None else None,
            "num_queries": len(run.results[0].ap),
            "attack": _settings(cfg),
            "config": dump(cfg),
            "commit": code["commit"],
            "code": code,
        }
        results = with_worst_cases(run.results)
        rows = records(results, cfg.SEED)
        write_report(folder, results, rows, [], facts)  # the checks below may be stopped
        plot_results(folder / "curves.png", rows)
        if sanity:
            few = cfg.ATTACK.SANITY_QUERIES
            part = build_attack.build_robust_evaluator(cfg, embed, splits, few, evaluator)
            checks = build_attack.build_sanity_checks(cfg, part, seen, attacks).run()
            write_report(folder, results, rows, checks, facts)
            logger.info("sanity checks\n" + _check_table(checks))
    logger.info(verdict(checks) if sanity else "sanity: not checked; add --sanity")
    logger.info(f"{facts['num_queries']} queries\n{as_text(rows)}")
    logger.info(f"written: {folder}/robustness.json, robustness.csv, per_query.npz, curves.png")
    return results


class _Run:
    """Attacks and corruptions one after another, with a line of log for each."""

    def __init__(
        self,
        cfg: CfgNode,
        evaluator: RobustEvaluator,
        attacker: Embedding,
        splits: Splits,
        folder: Path,
        say: Callable[[str], object],
    ) -> None:
        self.cfg, self.evaluator, self.attacker, self.folder, self.say = (
            cfg,
            evaluator,
            attacker,
            folder,
            say,
        )
        self.splits = splits
        self.guides = evaluator.guides(attacker)
        self.results = evaluator.untouched()

    def all(self, attacks: list[RetrievalAttack]) -> None:
        """Runs what the config asks for."""
        self._note(self.results)
        for one in attacks:
            self.results += self._note(self._attack(one))
        plain = Retrieval(self.evaluator.protocol.metric, self.evaluator.protocol.chunk)
        for steps, one in build_attack.build_step_curve(self.cfg, attacks):
            (found,) = self.evaluator.attacked(one, self.attacker, self.guides, protocol=plain)
            facts = {**found.facts, "steps": steps}
            self.results += self._note([replace(found, kind="steps", facts=facts)])
        for name in build_attack.corruption_names(self.cfg):
            for severity in self.cfg.ATTACK.SEVERITIES:
                self.results += self._note(
                    self.evaluator.corrupted(name, severity, CORRUPTIONS[name])
                )

    def _attack(self, one: RetrievalAttack) -> list[Result]:
        a = self.cfg.ATTACK
        if not a.SAVE_IMAGES:
            return self.evaluator.attacked(one, self.attacker, self.guides)
        title = f"{one.title}_eps{one.eps_255:g}".replace(":", "_").replace(" ", "_")
        query = build_attack.spaced(self.splits.query, a.NUM_QUERIES)
        side = query if self.evaluator.side == "query" else self.splits.gallery
        folder = self.folder / "images" / title
        attacked = set(self.guides.identities.tolist())
        saver = ImageSaver(folder, a.SAVE_IMAGES, side, attacked, a.SAVE_AS == "npz")
        found = self.evaluator.attacked(one, self.attacker, self.guides, saver)
        saver.finish()
        if self.evaluator.side == "query":
            saver.draw(folder.parent / f"{title}.png", self.evaluator, self.splits.gallery)
        return found

    def _note(self, results: list[Result]) -> list[Result]:
        for o in results:
            spent = f" {o.facts['seconds']:.1f} s" if "seconds" in o.facts else ""
            steps = f" {o.facts['steps']} steps" if "steps" in o.facts else ""
            self.say(
                f"{o.name} {o.level:g}{steps}, {o.ranking}: mAP {o.ap.mean():.1%}"
                f" Rank-1 {o.hit.mean():.1%}{spent}"
            )
        return results


# Decide what is kept or checked besides, and not what is done to which images.
_ASIDE = ("ATTACK.SAVE_", "ATTACK.SANITY_", "ATTACK.STEP_CURVE", "ATTACK.IMS_PER_BATCH")
_SHARED = (
    *("ATTACK.", "DATASETS.NAMES", "DATASETS.SYNTHETIC.", "INPUT.SIZE_TEST"),
    *("TEST.NECK_FEAT", "TEST.FEAT_NORM", "TEST.FLIP", "TEST.METRIC", "TEST.RERANK."),
)


def _settings(cfg: CfgNode) -> dict[str, object]:
    """Returns the settings that two attacks have to share to be compared."""
    return {k: v for k, v in leaves(cfg) if k.startswith(_SHARED) and not k.startswith(_ASIDE)}


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
