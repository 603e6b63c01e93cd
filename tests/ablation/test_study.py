"""The file of a study: what it may say, and one line for what it may not."""

from pathlib import Path

import pytest
from studies import write

from reid.jobs.ablation.study import Study, as_typed
from reid.jobs.ablation.study_file import read_study
from reid.jobs.comparing.question import Primary
from reid.utils.errors import InputError


def overrides(path: Path, preset: str = "", typed: tuple[str, ...] = ()) -> dict[str, dict]:
    return {v.name: dict(v.overrides) for v in read_study(path, preset, typed).variants}


def test_a_short_file_says_enough(tmp_path: Path) -> None:
    study = read_study(write(tmp_path))
    assert [v.name for v in study.variants] == ["plain", "lfm"]
    assert study.baseline == "plain"
    assert study.output == Path("outputs/ablations/study")
    assert study.seeds == (0, 1)
    assert study.data_seeds == ()
    assert list(study.steps) == ["train", "test"]
    assert (study.weight, study.keep) == ("last", "weights")
    assert study.variants[0].base.name == "synthetic_baseline.yml"


def test_a_grid_makes_a_variant_of_each_point(tmp_path: Path) -> None:
    grid = {
        "SOLVER.BASE_LR": [0.1, 0.2],
        "MODEL.REGULARIZER.LFM.AREA": {"small": [0.02, 0.1], "all": [0.02, 0.4]},
    }
    path = write(
        tmp_path, VARIANTS={"x": {"MODEL": {"REGULARIZER": {"NAME": "lfm"}}, "GRID": grid}}
    )
    found = overrides(path)
    assert list(found) == ["x_base-lr0.1_small", "x_base-lr0.1_all",
                           "x_base-lr0.2_small", "x_base-lr0.2_all"]  # fmt: skip
    assert found["x_base-lr0.2_small"] == {
        "MODEL.REGULARIZER.NAME": "lfm",
        "SOLVER.BASE_LR": "0.2",
        "MODEL.REGULARIZER.LFM.AREA": "[0.02, 0.1]",
    }


def test_keys_of_one_last_word_are_told_apart_in_a_name(tmp_path: Path) -> None:
    grid = {"MODEL.REGULARIZER.NAME": ["lfm"], "MODEL.HEAD.NAME": ["bnneck"]}
    assert list(overrides(write(tmp_path, VARIANTS={"x": {"GRID": grid}}))) == [
        "x_regularizer-namelfm_head-namebnneck"
    ]


def test_a_variant_may_be_another_config(tmp_path: Path) -> None:
    changed = {"_BASE_": "defences/lfm.yml", "SOLVER.MAX_EPOCHS": 3}
    study = read_study(write(tmp_path, VARIANTS={"a": "defences/erasing.yml", "b": changed}))
    assert [v.base.name for v in study.variants] == ["erasing.yml", "lfm.yml"]
    assert study.variants[1].overrides == (("SOLVER.MAX_EPOCHS", "3"),)


def test_a_config_beside_the_study_goes_before_a_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "synthetic_baseline.yml"
    own.write_text("SEED: 3\n")
    assert read_study(write(tmp_path)).variants[0].base == own


def test_a_preset_replaces_keys_and_adds_overrides(tmp_path: Path) -> None:
    small = {
        "SEEDS": [7],
        "VARIANTS": ["lfm"],
        "OVERRIDES": {"SOLVER.MAX_EPOCHS": 2},
        "RUN": {"test": {"TEST.FLIP": True}},
    }
    run = {"train": {}, "test": {"TEST.FLIP": False, "TEST.RE_RANKING": True}}
    common = {"SOLVER.MAX_EPOCHS": 9, "SOLVER.BASE_LR": 0.1}
    path = write(tmp_path, PRESETS={"small": small}, RUN=run, OVERRIDES=common, OUTPUT_DIR="o/x")
    study = read_study(path, "small")
    assert study.seeds == (7,)
    assert [v.name for v in study.variants] == ["lfm"]
    assert study.output == Path("o/x_small")
    assert dict(study.common) == {"SOLVER.MAX_EPOCHS": "2", "SOLVER.BASE_LR": "0.1"}
    assert study.steps == {"test": (("TEST.RE_RANKING", "True"), ("TEST.FLIP", "True"))}
    assert read_study(path).seeds == (0, 1)


def test_what_is_typed_is_the_study_s_or_every_cell_s(tmp_path: Path) -> None:
    typed = ("OUTPUT_DIR", "there", "SEEDS", "[4]", "KEEP", "results", "DATASETS.ROOT_DIR", "d")
    study = read_study(write(tmp_path), typed=typed)
    assert (study.output, study.seeds, study.keep) == (Path("there"), (4,), "results")
    assert study.typed == (("DATASETS.ROOT_DIR", "d"),)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "True"),
        (0.15, "0.15"),
        ("lfm", "lfm"),
        ([0.02, 0.4], "[0.02, 0.4]"),
        (["conv1", "input:cutout"], "['conv1', 'input:cutout']"),
        ([], "[]"),
        (None, "null"),
        ("[x", "'[x'"),
    ],
)
def test_values_are_typed_as_a_command_reads_them(value: object, text: str) -> None:
    assert as_typed(value) == text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SEED": [0]}, "unknown key SEED; did you mean 'SEEDS'?"),
        ({"SEEDS": 3}, "SEEDS must be a list of different whole numbers"),
        ({"SEEDS": [0, 0]}, "SEEDS must be a list of different whole numbers"),
        ({"SEEDS": [-1]}, "SEEDS must be a list of different whole numbers"),
        ({"SEEDS": [True]}, "SEEDS must be a list of different whole numbers"),
        ({"SEEDS": []}, "SEEDS must be a list of different whole numbers"),
        ({"VARIANTS": None}, "VARIANTS must name the variants"),
        ({"VARIANTS": {"a": 3}}, "VARIANTS.a must be a config's name or KEY: value lines, got 3"),
        ({"VARIANTS": {"a/b": {}}}, "VARIANTS.a/b cannot name a folder 'a/b'"),
        ({"VARIANTS": {".a": {}}}, "cannot name a folder '.a'"),
        ({"VARIANTS": {"a": {"GRID": {}}}}, "VARIANTS.a.GRID must be KEY: [value, ...] lines"),
        (
            {"VARIANTS": {"a": {"GRID": {"SOLVER.BASE_LR": 0.1}}}},
            "VARIANTS.a.GRID.SOLVER.BASE_LR must be a list of values",
        ),
        (
            {"VARIANTS": {"x_seed1": {}, "x": {"GRID": {"SOLVER.SEED": [1]}}}},
            "VARIANTS has two variants of the name x_seed1",
        ),
        ({"VARIANTS": {"a": "defences/lfn.yml"}}, "VARIANTS.a._BASE_ config file"),
        ({"VARIANTS": {"a": {"SEED": 1}}}, "VARIANTS.a sets SEED, which SEEDS of the study sets"),
        ({"OVERRIDES": {"OUTPUT_DIR": "x"}}, "OVERRIDES sets OUTPUT_DIR, which OUTPUT_DIR of"),
        ({"OVERRIDES": [1]}, "OVERRIDES must be KEY: value lines, got [1]"),
        ({"_BASE_": None}, "_BASE_ must name the config that is varied"),
        ({"BASELINE": "plian"}, "BASELINE is 'plian'; did you mean 'plain'?"),
        ({"RUN": ["trian"]}, "RUN unknown key trian; did you mean 'train'?"),
        ({"RUN": []}, "RUN names no command; known: train, test, attack"),
        ({"RUN": {"test": {"TEST.WEIGHT": "x", "SOLVER": {}}, "train": None}}, "sets TEST.WEIGHT"),
        ({"KEEP": "nothing"}, "KEEP is 'nothing'; known: weights, results"),
        ({"WEIGHT": 3}, "WEIGHT must be text, got 3"),
        ({"DATA_SEEDS": [0], "OVERRIDES": {"DATASETS.SYNTHETIC.SEED": 1}}, "which DATA_SEEDS of"),
        ({"PRESETS": {"small": {"SEED": [0]}}}, "PRESETS.small unknown key SEED"),
        ({"PRESETS": 3}, "PRESETS must be KEY: value lines, got 3"),
        ({"SEEDS": list(range(400)), "DATA_SEEDS": list(range(400))}, "asks for 320000 cells"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("preset", "typed", "said"),
    [
        ("smal", (), "has no preset 'smal'; did you mean 'small'?"),
        ("large", (), "has no preset 'large'; it has small"),
        ("", ("SEED", "3"), "command line: sets SEED, which SEEDS of the study sets"),
        ("", ("SEEDS", "3"), "SEEDS must be a list"),
        ("", ("SEEDS", "[3"), "command line: SEEDS is not YAML"),
        ("", ("SEEDS",), "'SEEDS' has no partner"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    tmp_path: Path, preset: str, typed: tuple[str, ...], said: str
) -> None:
    path = write(tmp_path, PRESETS={"small": {"SEEDS": [0]}})
    with pytest.raises(InputError) as caught:
        read_study(path, preset, typed)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_preset_s_variants_exist(tmp_path: Path) -> None:
    path = write(tmp_path, PRESETS={"small": {"VARIANTS": ["lfn"]}})
    with pytest.raises(InputError, match=r"VARIANTS names 'lfn'; did you mean 'lfm'\?"):
        read_study(path, "small")


def asking(tmp_path: Path, preset: str = "", **changes: object) -> Study:
    variants = {
        name: {"SOLVER.BASE_LR": 0.1 * n} for n, name in enumerate(("plain", "a", "b", "ab"), 1)
    }
    few = {"few": {"VARIANTS": ["plain", "a"]}}
    return read_study(write(tmp_path, VARIANTS=variants, PRESETS=few, **changes), preset)


def test_a_study_names_its_questions(tmp_path: Path) -> None:
    """A preset that leaves variants out leaves the questions about them out, too."""
    asked = {
        "INTERACTIONS": [["ab", "a", "b"], ["a", "re-ranked"]],
        "PRIMARY": {"COMPARED": ["ab", "a", "b"], "TEST": "pgd-fna 4"},
    }
    study = asking(tmp_path, **asked)
    assert study.interactions == (("ab", "a", "b"), ("a", "re-ranked"))
    assert study.primary == (Primary(("ab", "a", "b"), "pgd-fna 4", "mAP"),)
    few = asking(tmp_path, "few", **asked)
    assert few.interactions == (("a", "re-ranked"),) and few.primary == ()
    two = asking(tmp_path, PRIMARY=[{"COMPARED": "a", "METRIC": "rank1"}, {"COMPARED": "b"}])
    assert two.primary == (Primary(("a",), "clean", "rank1"), Primary(("b",), "clean", "mAP"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"INTERACTIONS": "ab"}, "INTERACTIONS must be a list of [both, one, other]"),
        ({"INTERACTIONS": [["ab", "a", "bb"]]}, "INTERACTIONS unknown group 'bb'"),
        ({"INTERACTIONS": [["a"]]}, "INTERACTIONS has ['a']; name [both, one, other]"),
        ({"INTERACTIONS": [["ab", 1]]}, "INTERACTIONS must hold names of variants"),
        ({"PRIMARY": "a"}, "PRIMARY must be KEY: value lines"),
        ({"PRIMARY": [{"COMPARED": "a"}] * 2}, "PRIMARY names a comparison twice"),
        ({"PRIMARY": {"COMPARED": "a", "METRICS": "x"}}, "unknown key METRICS; did you mean"),
        ({"PRIMARY": {"COMPARED": "a", "METRIC": "map"}}, "is 'map'; did you mean 'mAP'"),
        ({"PRIMARY": {"COMPARED": "plain"}}, "names a group twice"),
    ],
)
def test_a_wrong_question_is_one_line(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(InputError) as caught:
        asking(tmp_path, **changes)
    assert said in str(caught.value) and "study.yml: " in str(caught.value)
