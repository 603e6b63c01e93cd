"""The job of tools/attack.py, from a config to files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate
from yacs.config import CfgNode

from reid import wiring
from reid.config import dump, leaves
from reid.data.records import Splits
from reid.engine.attack_pictures import Keeper, draw_all
from reid.evaluation.features import Embedding
from reid.evaluation.retrieval import Retrieval
from reid.robustness.attack import Attack
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.outcome import Outcome
from reid.robustness.report import HEADERS, records, table, with_worst_cases, write_report
from reid.robustness.sanity import Check, verdict
from reid.robustness.trial import Trial
from reid.utils import distributed
from reid.utils.environment import choose_device, describe, deterministic, git_commit
from reid.utils.errors import InputError
from reid.utils.logs import get_logger, make_dir
from reid.wiring import attack as build_attack

FOLDER = "attack"  # in OUTPUT_DIR


def attack(
    cfg: CfgNode,
    weight: Path,
    sanity: bool = False,
    surrogate: tuple[CfgNode, Path] | None = None,
) -> list[Outcome]:
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
    folder = make_dir(Path(cfg.OUTPUT_DIR) / FOLDER)
    logger = get_logger(folder, "attack")
    device = choose_device(cfg.MODEL.DEVICE)
    logger.info(describe(device))
    embed = build_attack.build_eye(cfg, wiring.load_trained(cfg, weight, logger))
    seen = None
    if surrogate is not None:
        seen = build_attack.build_eye(surrogate[0], wiring.load_trained(*surrogate, logger))
    splits = wiring.load_splits(cfg, False, logger)
    with deterministic(device):
        trial = build_attack.build_trial(cfg, embed, splits, cfg.ATTACK.NUM_QUERIES)
        logger.info(_threat(cfg, len(trial.clean["query"].pids), surrogate))
        run = _Run(cfg, trial, seen or embed, splits, folder, logger.info)
        run.all(attacks)
        facts = {
            "weight": str(weight),
            "surrogate": str(surrogate[1]) if surrogate is not None else None,
            "num_queries": len(run.outcomes[0].ap),
            "attack": _settings(cfg),
            "config": dump(cfg),
            "commit": git_commit(),
        }
        outcomes = with_worst_cases(run.outcomes)
        rows = records(outcomes, cfg.SEED)
        write_report(folder, outcomes, rows, [], facts)  # the checks below may be stopped
        draw_all(folder / "curves.png", rows)
        if sanity:
            few = cfg.ATTACK.SANITY_QUERIES
            part = build_attack.build_trial(cfg, embed, splits, few, trial)
            checks = build_attack.build_battery(cfg, part, seen, attacks).run()
            write_report(folder, outcomes, rows, checks, facts)
            logger.info("sanity checks\n" + _check_table(checks))
    logger.info(verdict(checks) if sanity else "sanity: not checked; add --sanity")
    logger.info(f"{facts['num_queries']} queries\n{tabulate(table(rows), HEADERS, floatfmt='.1f')}")
    logger.info(f"written: {folder}/robustness.json, robustness.csv, per_query.npz, curves.png")
    return outcomes


class _Run:
    """Attacks and corruptions one after another, with a line of log for each."""

    def __init__(
        self,
        cfg: CfgNode,
        trial: Trial,
        eye: Embedding,
        splits: Splits,
        folder: Path,
        say: Callable[[str], object],
    ) -> None:
        self.cfg, self.trial, self.eye, self.folder, self.say = cfg, trial, eye, folder, say
        self.splits = splits
        self.guides = trial.guides(eye)
        self.outcomes = trial.untouched()

    def all(self, attacks: list[Attack]) -> None:
        """Runs what the config asks for."""
        self._note(self.outcomes)
        for one in attacks:
            self.outcomes += self._note(self._attack(one))
        plain = Retrieval(self.trial.how.metric, self.trial.how.chunk)
        for steps, one in build_attack.build_step_curve(self.cfg, attacks):
            (found,) = self.trial.attacked(one, self.eye, self.guides, how=plain)
            facts = {**found.facts, "steps": steps}
            self.outcomes += self._note([replace(found, kind="steps", facts=facts)])
        for name in build_attack.corruption_names(self.cfg):
            for severity in self.cfg.ATTACK.SEVERITIES:
                self.outcomes += self._note(self.trial.corrupted(name, severity, CORRUPTIONS[name]))

    def _attack(self, one: Attack) -> list[Outcome]:
        a = self.cfg.ATTACK
        if not a.SAVE_IMAGES:
            return self.trial.attacked(one, self.eye, self.guides)
        title = f"{one.title}_eps{one.eps_255:g}".replace(":", "_").replace(" ", "_")
        query = build_attack.spaced(self.splits.query, a.NUM_QUERIES)
        side = query if self.trial.side == "query" else self.splits.gallery
        folder = self.folder / "images" / title
        attacked = set(self.guides.identities.tolist())
        keeper = Keeper(folder, a.SAVE_IMAGES, side, attacked, a.SAVE_AS == "npz")
        found = self.trial.attacked(one, self.eye, self.guides, keeper)
        keeper.finish()
        if self.trial.side == "query":
            keeper.draw(folder.parent / f"{title}.png", self.trial, self.splits.gallery)
        return found

    def _note(self, outcomes: list[Outcome]) -> list[Outcome]:
        for o in outcomes:
            spent = f" {o.facts['seconds']:.1f} s" if "seconds" in o.facts else ""
            steps = f" {o.facts['steps']} steps" if "steps" in o.facts else ""
            self.say(
                f"{o.name} {o.level:g}{steps}, {o.ranking}: mAP {o.ap.mean():.1%}"
                f" Rank-1 {o.hit.mean():.1%}{spent}"
            )
        return outcomes


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
