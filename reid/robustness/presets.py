"""Attacks of the literature, with the names and budgets of the papers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from reid.robustness.attacks import ATTACKS
from reid.robustness.objectives import OBJECTIVES
from reid.utils.errors import InputError, unknown

DEFAULT_EPS_255 = (2.0, 4.0, 8.0)
STAGE_MARK = "+"  # between objectives that are raised one after the other


class AttackSpec(NamedTuple):
    """An attack, described by names.

    Attributes:
        name: Name in reports.
        method: Name in ``ATTACKS``.
        objective: Name in ``OBJECTIVES``, or several with ``+`` between them; "" for a method that
            needs none.
        settings: Arguments of the method that replace those of the config.
        eps_255: Budgets in 1/255, used if the user gives none.
    """

    name: str
    method: str
    objective: str
    settings: Mapping[str, Any]
    eps_255: tuple[float, ...]


_STANDARD = {"steps": 20, "step": 0.25, "restarts": 1, "random_start": True, "norm": "linf"}
_STRONG = {"steps": 100, "step": 0.125, "restarts": 1, "random_start": True, "norm": "linf"}
_CEA = {"steps": 15, "step": 0.2, "restarts": 1, "norm": "linf"}

_ODFA = {"steps": 20, "step": 1 / 16, "restarts": 1, "random_start": True, "norm": "linf"}

# name -> (budget in levels, [(method, objective, settings)])
PRESETS: dict[str, tuple[float, list[tuple[str, str, dict[str, Any]]]]] = {
    # Bai et al., arXiv:1901.10650: I-FGSM by the rule of its paper, that is 6 steps of one level.
    "ama": (5, [("bim", "metric", {"steps": 0, "step": 0.0})]),
    # Bouniot et al., CVPR workshops 2020: 15 steps of one level, a random start where it is needed.
    "cea": (
        5,
        [
            ("pgd", "sma", {**_CEA, "random_start": True}),
            ("pgd", "fna", {**_CEA, "random_start": False}),
        ],
    ),
    # Gong et al., arXiv:2111.09571: 15 steps of one level with momentum 1.
    "lta": (5, [("mi_fgsm", "lta", {"steps": 15, "step": 0.2, "decay": 1.0})]),
    # Zheng et al., arXiv:1809.02681: 20 steps of one level. Ours starts at a random point,
    # because the gradient on unit features is zero at the clean image.
    "odfa16": (16, [("pgd", "odfa", _ODFA)]),
    # What is strongest per pass, measured in docs/robustness.md, and fna as the field reports it.
    "standard": (
        8,
        [("pgd", "fna", _STANDARD), ("pgd", "margin", _STANDARD), ("pgd", "smooth_ap", _STANDARD)],
    ),
    "strong": (
        8,
        [
            ("pgd", "fna", _STRONG),
            ("apgd", "margin", {"steps": 100, "restarts": 1}),
            ("apgd", "smooth_ap", {"steps": 100, "restarts": 3}),
        ],
    ),
}


def parse_attack(name: str) -> list[AttackSpec]:
    """Reads the name of an attack: a preset, "method-objective", or "noise".

    Objectives that are raised one after the other have a + between them: "pgd-margin+smooth_ap".

    Raises:
        InputError: The name is unknown; the message lists the known names.
    """
    if name in PRESETS:
        eps, attacks = PRESETS[name]
        return [AttackSpec(f"{name}:{m}-{o}", m, o, settings, (eps,)) for m, o, settings in attacks]
    method, _, objective = name.partition("-")
    if method not in ATTACKS:
        known = [*PRESETS, "noise", "pgd-fna", "pgd-margin", "fgsm-fna", "apgd-fna", "square-sma"]
        error = unknown("attack", name, known)
        raise InputError(
            f"{error}; or METHOD-OBJECTIVE, of {', '.join(ATTACKS.names())} and"
            f" {', '.join(OBJECTIVES.names())}"
        )
    if method == "noise":
        if objective:
            raise InputError(f"attack '{name}': noise has no objective, its name is noise")
    else:
        for stage in objective.split(STAGE_MARK):
            if stage not in OBJECTIVES:
                raise unknown(f"objective of attack '{name}':", stage, OBJECTIVES.names())
    return [AttackSpec(name, method, objective, {}, DEFAULT_EPS_255)]
