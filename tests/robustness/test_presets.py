import inspect

import pytest

from reid.robustness.attacks import ATTACKS
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.presets import PRESETS, parse_attack
from reid.utils.errors import InputError


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_name_what_exists_and_set_what_it_has(preset: str) -> None:
    for spec in parse_attack(preset):
        assert spec.objective in OBJECTIVES
        method = ATTACKS[spec.method](eps=spec.eps_255[0] / 255, **spec.settings)
        flat = OBJECTIVES[spec.objective]().flat_at_clean
        assert method.leaves_start or not flat


def test_budgets_of_the_literature() -> None:
    ama, lta = parse_attack("ama")[0], parse_attack("lta")[0]
    assert ama.eps_255 == (5,)
    assert ATTACKS["bim"](eps=5 / 255, **ama.settings).steps == 6
    made = ATTACKS["mi_fgsm"](eps=5 / 255, **lta.settings)
    assert (made.steps, made.step * 5, made.decay) == (15, 1.0, 1.0)
    odfa = parse_attack("odfa16")[0]
    assert odfa.eps_255 == (16,) and odfa.settings["step"] * 16 == 1


def test_our_own_presets_hold_objectives_that_know_the_ranking() -> None:
    for name, passes in (("standard", 60), ("strong", 500)):
        specs = parse_attack(name)
        assert {"margin", "smooth_ap"} <= {spec.objective for spec in specs}
        made = [ATTACKS[spec.method](eps=8 / 255, **spec.settings) for spec in specs]
        assert sum(method.steps * method.restarts for method in made) == passes


def test_the_config_cannot_change_what_a_preset_is() -> None:
    """Every argument that would change the attack is the preset's own."""
    for preset in PRESETS:
        for spec in parse_attack(preset):
            own = {"steps", "restarts"} & set(inspect.signature(ATTACKS[spec.method]).parameters)
            assert own <= set(spec.settings)
            assert spec.method != "pgd" or spec.settings["norm"] == "linf"


def test_a_combination_is_named_by_its_parts() -> None:
    spec = parse_attack("apgd-fna")[0]
    assert spec == ("apgd-fna", "apgd", "fna", {}, (2.0, 4.0, 8.0))
    assert parse_attack("noise")[0].objective == ""
    assert parse_attack("pgd-margin+smooth_ap")[0].objective == "margin+smooth_ap"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pdg-fna", "pgd-fna"),
        ("standart", "standard"),
        ("pgd-fan", "did you mean 'fna'"),
        ("pgd", "objective"),
        ("pgd-margin+smoth_ap", "did you mean 'smooth_ap'"),
        ("pgd-margin+", "objective"),
        ("noise-sma", "noise has no objective"),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_attack(name)
