"""Attacks, and what they are run against."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from yacs.config import CfgNode

from reid.builders.common import ATTACK, build_device, make
from reid.builders.data import build_eval_loader
from reid.builders.evaluation import (
    build_retrieval,
    check_matched,
    plain_retrieval,
    same_pictures,
)
from reid.data.records import Records, Splits
from reid.evaluation.features import Embedding, Features
from reid.evaluation.verification import verification_thresholds
from reid.robustness.attack import RetrievalAttack
from reid.robustness.attacks import ATTACKS
from reid.robustness.ball import LEVELS, Linf
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.objectives import OBJECTIVES, Objective
from reid.robustness.objectives.stages import Stages
from reid.robustness.presets import STAGE_MARK, AttackSpec, parse_attack
from reid.robustness.sanity import SanityChecks
from reid.utils.batch import Batch
from reid.utils.environment import choose_precision
from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed

# Objectives that the battery holds against those of a report.
KNOWING = ("margin", "smooth_ap")


def build_objective(cfg: CfgNode, name: str) -> Objective:
    """Builds an objective of ATTACK.*.

    Args:
        cfg: The config.
        name: Registered name, or several with ``+`` between them.
    """
    stages: list[Objective] = [make(OBJECTIVES, one, cfg) for one in name.split(STAGE_MARK)]
    return stages[0] if len(stages) == 1 else Stages(stages)


def build_attack(
    cfg: CfgNode, spec: AttackSpec, eps_255: float, **settings: Any
) -> RetrievalAttack:
    """Builds one attack at one budget.

    Args:
        cfg: The config.
        spec: Method, objective, and settings that go before the config's.
        eps_255: Budget in levels of a pixel.
        settings: Arguments of the method that go before those of ``spec``.
    """
    more = {**spec.settings, **settings}
    method = make(ATTACKS, spec.method, cfg, more, {"eps": "ATTACK.EPS_255"}, eps=eps_255 / LEVELS)
    objective = build_objective(cfg, spec.objective) if spec.objective else None
    a = cfg.ATTACK
    return RetrievalAttack(spec.name, method, objective, a.CHOOSE_BY, a.EARLY_STOP, a.EOT)


def build_attacks(cfg: CfgNode) -> list[RetrievalAttack]:
    """Builds every attack of ATTACK.NAMES at every budget, weakest budget first.

    Raises:
        InputError: No attack, one named twice, or one that is not known.
    """
    found = _attack_specs(cfg)
    names = [spec.name for spec in found]
    if not names and not cfg.ATTACK.CORRUPTIONS:
        raise InputError("ATTACK.NAMES and ATTACK.CORRUPTIONS are empty: nothing to do")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"ATTACK.NAMES names {name} twice")
    _check_budgets(cfg)
    attacks = [
        build_attack(cfg, spec, eps)
        for spec in found
        for eps in sorted(set(cfg.ATTACK.EPS_255 or spec.eps_255))
    ]
    for one in attacks:
        if cfg.ATTACK.ON_GRID and isinstance(one.method.ball, Linf) and one.eps_255 % 1:
            raise InputError(
                f"ATTACK.EPS_255 {one.eps_255:g}: 8-bit images change by whole levels, so that this"
                f" budget is one of {int(one.eps_255)}; name that, or set ATTACK.ON_GRID False"
            )
    if cfg.ATTACK.SAVE_IMAGES and not cfg.ATTACK.ON_GRID:
        raise InputError("ATTACK.SAVE_IMAGES keeps 8-bit images; set ATTACK.ON_GRID True")
    return attacks


def _check_budgets(cfg: CfgNode) -> None:
    """Raises InputError for budgets that the report could not tell apart."""
    budgets = sorted(set(cfg.ATTACK.EPS_255))
    for one, other in pairwise(budgets):
        if round(one, 6) == round(other, 6):
            raise InputError(
                f"ATTACK.EPS_255: {one} and {other} are one budget in the report, which has six"
                " digits; name one of them"
            )


def build_step_curve(
    cfg: CfgNode, attacks: list[RetrievalAttack]
) -> list[tuple[int, RetrievalAttack]]:
    """Builds each attack that takes steps once more at every number of ATTACK.STEP_CURVE.

    At its largest budget. Steps shrink as their number grows, 2.5 eps in all as Madry et al. have
    it, where the attack lets its step be set.

    Args:
        cfg: The config.
        attacks: Those of :func:`build_attacks`, which know the largest budget of each.
    """
    curve = []
    for spec in _attack_specs(cfg):
        top = max((a.eps_255 for a in attacks if a.name == spec.name), default=0.0)
        settings = cfg.ATTACK.get(spec.method.upper(), {})
        for steps in cfg.ATTACK.STEP_CURVE if "STEPS" in settings else ():
            more = {"step": max(2.5 / steps, 0.1)} if "STEP" in settings else {}
            curve.append((steps, build_attack(cfg, spec, top, steps=steps, **more)))
    return curve


def corruption_names(cfg: CfgNode) -> list[str]:
    """Returns the names of ATTACK.CORRUPTIONS, "all" spelled out."""
    names = cfg.ATTACK.CORRUPTIONS
    return CORRUPTIONS.names() if "all" in names else sorted(set(names))


def build_robust_evaluator(
    cfg: CfgNode,
    embed: Embedding,
    splits: Splits,
    num_queries: int,
    whole: RobustEvaluator | None = None,
) -> RobustEvaluator:
    """Builds what attacks are run against: the model as TEST.* evaluates it.

    Args:
        cfg: The config.
        embed: From :func:`build_attack_embedding`.
        splits: Query and gallery.
        num_queries: Evenly spaced part of the queries; 0 is all.
        whole: A trial of all queries, whose gallery is used again; then for the plain ranking only.
    """
    device = build_device(cfg)
    query = spaced(splits.query, num_queries)
    pictures = same_pictures(cfg, query, splits.gallery)
    check_matched(cfg, query, splits.gallery, pictures)
    view = cfg.clone()
    view.defrost()
    view.INPUT.SIZE_TEST = pixel_size(cfg)
    view.TEST.IMS_PER_BATCH = cfg.ATTACK.IMS_PER_BATCH
    tag = f"_{len(query)}" if num_queries else ""
    gallery: Iterable[Batch]
    known: Features | None = None
    if whole is None:
        protocol = build_retrieval(cfg, len(query), len(splits.gallery))
        gallery = build_eval_loader(view, splits.gallery, device, "gallery", once=False)
    else:
        protocol = plain_retrieval(cfg)
        gallery, known = whole.gallery, whole.clean["gallery"]
    evaluator = RobustEvaluator(
        embed,
        build_eval_loader(view, query, device, f"query{tag}", once=False),
        gallery,
        device,
        protocol,
        cfg.ATTACK.SIDE,
        derive_seed(cfg.SEED, ATTACK),
        cfg.ATTACK.ON_GRID,
        known,
        splits.distractor_pid,
        pictures,
    )
    if cfg.TEST.VERIFICATION and whole is None:
        clean = (evaluator.clean["query"], evaluator.clean["gallery"])
        evaluator.thresholds = verification_thresholds(*clean, cfg.TEST.PROTOCOL)
    return evaluator


def build_attack_embedding(cfg: CfgNode, model: nn.Module) -> Embedding:
    """Builds the embedding that is attacked and evaluated; resizing is a part of it.

    Args:
        cfg: The config.
        model: The model that is evaluated, or that the attacker sees.
    """
    t, a = cfg.TEST, cfg.ATTACK
    precision = choose_precision(a.PRECISION, build_device(cfg))
    return Embedding(model, t.NECK_FEAT, t.FEAT_NORM, t.FLIP, precision, tuple(cfg.INPUT.SIZE_TEST))


def build_sanity_checks(
    cfg: CfgNode,
    evaluator: RobustEvaluator,
    surrogate: Embedding | None,
    attacks: list[RetrievalAttack],
) -> SanityChecks:
    """Builds the sanity checks, with the objective and budget of the last attack by gradient.

    Args:
        cfg: The config.
        evaluator: The model and a few of its images.
        surrogate: Another model for the check of transfer; None skips it.
        attacks: Those of the report.
    """
    spec = AttackSpec("pgd-sma", "pgd", "sma", {}, ())
    for found in _attack_specs(cfg):
        # The battery compares losses, which one that is drawn anew at each call does not allow.
        if found.objective and not build_objective(cfg, found.objective).redrawn:
            spec = found
    eps = max((a.eps_255 for a in attacks if a.name == spec.name), default=0.0) or 8.0

    def assemble(method: str, eps_255: float, **settings: Any) -> RetrievalAttack:
        objective = "" if method == "noise" else spec.objective
        if not ATTACKS[method].takes_stages:
            objective = objective.rpartition(STAGE_MARK)[2]
        whole = AttackSpec(f"{method}-{spec.objective}", method, objective, {}, ())
        return build_attack(cfg, whole, eps_255, **settings)

    other = (surrogate, evaluator.guides(surrogate)) if surrogate is not None else None
    reported = [a for a in attacks if a.method.uses_gradient and a.eps_255 == eps]
    knowing = _knowing(cfg, reported, eps)
    ball = type(knowing[0].method.ball)  # budgets of two norms differ
    reported = [a for a in reported if isinstance(a.method.ball, ball)]
    return SanityChecks(
        evaluator,
        assemble,
        build_objective(cfg, spec.objective),
        eps,
        other,
        reported,
        knowing,
        cfg.ATTACK.EOT,
    )


def _knowing(
    cfg: CfgNode, reported: list[RetrievalAttack], eps_255: float
) -> list[RetrievalAttack]:
    """Returns PGD with objectives that know the ranking, with the most steps and starts reported.

    Args:
        cfg: The config.
        reported: The attacks by gradient of the report.
        eps_255: Their budget.
    """
    most = {
        key: max((getattr(a.method, key, 1) for a in reported), default=1)
        for key in ("steps", "restarts")
    }
    known = [AttackSpec(f"pgd-{name}", "pgd", name, most, ()) for name in KNOWING]
    return [build_attack(cfg, spec, eps_255, random_start=True) for spec in known]


def pixel_size(cfg: CfgNode) -> tuple[int, int]:
    """Returns (height, width) of the pixels that are attacked."""
    size = tuple(cfg.ATTACK.SIZE)
    if (0 in size) and any(size):
        raise InputError(
            f"ATTACK.SIZE is height and width, or 0, 0 for INPUT.SIZE_TEST; got {size}"
        )
    height, width = size if all(size) else cfg.INPUT.SIZE_TEST
    return height, width


def spaced(records: Records, number: int) -> Records:
    """Returns ``number`` records at even distances over the list; all of them if there are fewer.

    Args:
        records: Of one side.
        number: How many; 0 is all.
    """
    if not 0 < number < len(records):
        return records
    places = torch.linspace(0, len(records) - 1, number).round().long().tolist()
    return tuple(records[place] for place in places)


def _attack_specs(cfg: CfgNode) -> list[AttackSpec]:
    try:
        return [spec for name in cfg.ATTACK.NAMES for spec in parse_attack(name)]
    except InputError as error:
        raise InputError(f"ATTACK.NAMES: {error}") from error
