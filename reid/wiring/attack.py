"""Attacks, and what they are run against."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from yacs.config import CfgNode

from reid.data.records import Records, Splits
from reid.evaluation.features import Embedding, Features
from reid.evaluation.retrieval import Retrieval
from reid.robustness.attack import Attack
from reid.robustness.ball import LEVELS, Linf
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.objectives import OBJECTIVES, Objective
from reid.robustness.optimizers import OPTIMIZERS
from reid.robustness.presets import Recipe, recipes
from reid.robustness.sanity import Battery
from reid.robustness.trial import Trial
from reid.utils.batch import Batch
from reid.utils.environment import choose_device, choose_precision
from reid.utils.errors import InputError
from reid.utils.seeding import derive_seed
from reid.wiring.common import ATTACK, make
from reid.wiring.data import build_eval_loader
from reid.wiring.testing import build_retrieval


def build_objective(cfg: CfgNode, name: str) -> Objective:
    """Builds an objective of ATTACK.*."""
    objective: Objective = make(OBJECTIVES, name, cfg.ATTACK, "ATTACK")
    return objective


def build_attack(cfg: CfgNode, recipe: Recipe, eps_255: float, **settings: Any) -> Attack:
    """Builds one attack at one budget; ``settings`` go before the recipe's, these before cfg's."""
    section = cfg.ATTACK.clone()
    node = section.get(recipe.optimizer.upper(), CfgNode())
    node.defrost()
    node.update({k.upper(): v for k, v in {**recipe.settings, **settings}.items()})
    optimizer = make(OPTIMIZERS, recipe.optimizer, section, "ATTACK", eps=eps_255 / LEVELS)
    objective = build_objective(cfg, recipe.objective) if recipe.objective else None
    return Attack(recipe.name, optimizer, objective)


def build_attacks(cfg: CfgNode) -> list[Attack]:
    """Builds every attack of ATTACK.NAMES at every budget, weakest budget first.

    Raises:
        InputError: No attack, one named twice, or one that is not known.
    """
    found = [recipe for name in cfg.ATTACK.NAMES for recipe in _recipes(name)]
    names = [recipe.name for recipe in found]
    if not names and not cfg.ATTACK.CORRUPTIONS:
        raise InputError("ATTACK.NAMES and ATTACK.CORRUPTIONS are empty: nothing to do")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"ATTACK.NAMES names {name} twice")
    attacks = [
        build_attack(cfg, recipe, eps)
        for recipe in found
        for eps in sorted(set(cfg.ATTACK.EPS_255 or recipe.eps_255))
    ]
    for one in attacks:
        if cfg.ATTACK.ON_GRID and isinstance(one.optimizer.ball, Linf) and one.eps_255 % 1:
            raise InputError(
                f"ATTACK.EPS_255 {one.eps_255:g}: 8-bit images change by whole levels, so that this"
                f" budget is one of {int(one.eps_255)}; name that, or set ATTACK.ON_GRID False"
            )
    if cfg.ATTACK.SAVE_IMAGES and not cfg.ATTACK.ON_GRID:
        raise InputError("ATTACK.SAVE_IMAGES keeps 8-bit images; set ATTACK.ON_GRID True")
    return attacks


def build_step_curve(cfg: CfgNode, attacks: list[Attack]) -> list[tuple[int, Attack]]:
    """Builds each attack that takes steps once more at every number of ATTACK.STEP_CURVE.

    At its largest budget. Steps shrink as their number grows, 2.5 eps in all as Madry et al. have
    it, where the attack lets its step be set.
    """
    curve = []
    for recipe in (recipe for name in cfg.ATTACK.NAMES for recipe in _recipes(name)):
        top = max((a.eps_255 for a in attacks if a.name == recipe.name), default=0.0)
        settings = cfg.ATTACK.get(recipe.optimizer.upper(), {})
        for steps in cfg.ATTACK.STEP_CURVE if "STEPS" in settings else ():
            more = {"step": max(2.5 / steps, 0.1)} if "STEP" in settings else {}
            curve.append((steps, build_attack(cfg, recipe, top, steps=steps, **more)))
    return curve


def corruption_names(cfg: CfgNode) -> list[str]:
    """Returns the names of ATTACK.CORRUPTIONS, "all" spelled out."""
    names = cfg.ATTACK.CORRUPTIONS
    return CORRUPTIONS.names() if "all" in names else sorted(set(names))


def build_trial(
    cfg: CfgNode, embed: Embedding, splits: Splits, num_queries: int, whole: Trial | None = None
) -> Trial:
    """Builds what attacks are run against: the model as TEST.* evaluates it.

    Args:
        cfg: The config.
        embed: From :func:`build_eye`.
        splits: Query and gallery.
        num_queries: Evenly spaced part of the queries; 0 is all.
        whole: A trial of all queries, whose gallery is used again; then for the plain ranking only.
    """
    device = choose_device(cfg.MODEL.DEVICE)
    query = spaced(splits.query, num_queries)
    view = cfg.clone()
    view.defrost()
    view.INPUT.SIZE_TEST = pixel_size(cfg)
    view.TEST.IMS_PER_BATCH = cfg.ATTACK.IMS_PER_BATCH
    tag = f"_{len(query)}" if num_queries else ""
    gallery: Iterable[Batch]
    known: Features | None = None
    if whole is None:
        how = build_retrieval(cfg, len(query), len(splits.gallery))
        gallery = build_eval_loader(view, splits.gallery, device, "gallery", once=False)
    else:
        how = Retrieval(cfg.TEST.METRIC, cfg.TEST.CHUNK)
        gallery, known = whole.gallery, whole.clean["gallery"]
    return Trial(
        embed,
        build_eval_loader(view, query, device, f"query{tag}", once=False),
        gallery,
        device,
        how,
        cfg.ATTACK.SIDE,
        derive_seed(cfg.SEED, ATTACK),
        cfg.ATTACK.ON_GRID,
        known,
    )


def build_eye(cfg: CfgNode, model: nn.Module) -> Embedding:
    """Builds the embedding that is attacked and evaluated; resizing is a part of it."""
    t, a = cfg.TEST, cfg.ATTACK
    precision = choose_precision(a.PRECISION, choose_device(cfg.MODEL.DEVICE))
    return Embedding(model, t.NECK_FEAT, t.FEAT_NORM, t.FLIP, precision, tuple(cfg.INPUT.SIZE_TEST))


def build_battery(
    cfg: CfgNode, trial: Trial, surrogate: Embedding | None, attacks: list[Attack]
) -> Battery:
    """Builds the sanity checks, with the objective and budget of the last attack by gradient."""
    recipe = Recipe("pgd-sma", "pgd", "sma", {}, ())
    for found in (recipe for name in cfg.ATTACK.NAMES for recipe in _recipes(name)):
        # The battery compares losses, which one that is drawn anew at each call does not allow.
        if found.objective and not build_objective(cfg, found.objective).redrawn:
            recipe = found
    eps = max((a.eps_255 for a in attacks if a.name == recipe.name), default=0.0) or 8.0

    def assemble(optimizer: str, eps_255: float, **settings: Any) -> Attack:
        objective = "" if optimizer == "noise" else recipe.objective
        whole = Recipe(f"{optimizer}-{recipe.objective}", optimizer, objective, {}, ())
        return build_attack(cfg, whole, eps_255, **settings)

    other = (surrogate, trial.guides(surrogate)) if surrogate is not None else None
    return Battery(trial, assemble, build_objective(cfg, recipe.objective), eps, other)


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
    """Returns ``number`` records at even distances, so that all identities have their share."""
    if not 0 < number < len(records):
        return records
    places = torch.linspace(0, len(records) - 1, number).round().long().tolist()
    return tuple(records[place] for place in places)


def _recipes(name: str) -> list[Recipe]:
    try:
        return recipes(name)
    except InputError as error:
        raise InputError(f"ATTACK.NAMES: {error}") from error
