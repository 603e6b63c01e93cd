"""Cells: which there are, what each runs, and what makes a result another one."""

from pathlib import Path

import pytest
import yaml
from commands import ROOT
from studies import write

from reid.config import load_cfg, recipe_hash
from reid.jobs.ablation.plan import Cell, DataFingerprints, chosen, plan
from reid.jobs.ablation.study_file import read_study
from reid.utils.errors import InputError

SHIPPED = sorted((ROOT / "configs/ablations").glob("*.yml"))
ATTACK = {"train": {}, "test": {}, "attack": {"ATTACK.EPS_255": [4]}}


def cells_of(path: Path, preset: str = "", *typed: str, data: str = "people") -> list[Cell]:
    return plan(read_study(path, preset, typed), lambda cfg: data)


def names(cells: list[Cell]) -> list[str]:
    return [cell.name for cell in cells]


def test_all_variants_of_a_seed_come_before_the_next_seed(tmp_path: Path) -> None:
    assert names(cells_of(write(tmp_path))) == [
        "plain/seed0", "lfm/seed0", "plain/seed1", "lfm/seed1",
    ]  # fmt: skip
    with_data = cells_of(write(tmp_path, SEEDS=[3], DATA_SEEDS=[0, 5]))
    assert names(with_data) == [
        "plain/seed3/data0", "lfm/seed3/data0", "plain/seed3/data5", "lfm/seed3/data5",
    ]  # fmt: skip


def test_a_cell_runs_the_ordinary_commands(tmp_path: Path) -> None:
    path = write(tmp_path, DATA_SEEDS=[5], RUN=ATTACK, WEIGHT="best")
    cell = cells_of(path, "", "OUTPUT_DIR", "out", "SOLVER.MAX_EPOCHS", "7")[1]
    train, test, attack = cell.steps
    assert cell.folder == Path("out/lfm/seed0/data5")
    assert train.arguments[2] == "--resume" and "--resume" not in test.arguments
    cfg = load_cfg(train.arguments[1], train.arguments[3:])
    assert (cfg.SEED, cfg.DATASETS.SYNTHETIC.SEED, cfg.SOLVER.MAX_EPOCHS) == (0, 5, 7)
    assert cfg.MODEL.REGULARIZER.NAME == "lfm"
    assert Path(cfg.OUTPUT_DIR) == cell.folder
    assert cell.recipe == recipe_hash(cfg)
    for step in (test, attack):
        cfg = load_cfg(step.arguments[1], step.arguments[2:])
        assert Path(cfg.TEST.WEIGHT) == cell.folder / "best.pth"
    assert cfg.ATTACK.EPS_255 == (4.0,)


def test_a_variant_overrides_the_study_and_the_command_line_overrides_all(tmp_path: Path) -> None:
    variants = {"a": {}, "b": {"SOLVER.MAX_EPOCHS": 3}}
    path = write(tmp_path, VARIANTS=variants, OVERRIDES={"SOLVER.MAX_EPOCHS": 2}, SEEDS=[0])
    assert [cell.epochs for cell in cells_of(path)] == [2, 3]
    assert [cell.epochs for cell in cells_of(path, "", "SOLVER.MAX_EPOCHS", "5")] == [5, 5]


def keys(tmp_path: Path, data: str = "people", **changes: object) -> dict[str, str]:
    """The keys of the steps of the first cell of a study."""
    cell = cells_of(write(tmp_path, **{"RUN": ATTACK, **changes}), data=data)[0]
    return {step.name: step.key for step in cell.steps}


@pytest.mark.parametrize(
    ("changes", "other"),
    [
        ({"SEEDS": [1]}, {"train", "test", "attack"}),
        ({"OVERRIDES": {"SOLVER.BASE_LR": 0.5}}, {"train", "test", "attack"}),
        ({"data": "others"}, {"train", "test", "attack"}),
        ({"WEIGHT": "best"}, {"test", "attack"}),
        ({"RUN": {**ATTACK, "test": {"TEST.RE_RANKING": True}}}, {"test"}),
        ({"RUN": {**ATTACK, "test": {"TEST.FLIP": True}}}, {"test"}),
        ({"RUN": {**ATTACK, "attack": {"ATTACK.EPS_255": [8]}}}, {"attack"}),
        ({"OVERRIDES": {"MODEL.DEVICE": "cpu", "DATALOADER.NUM_WORKERS": 0}}, set()),
        ({"KEEP": "results", "SEEDS": [0, 1, 2], "OUTPUT_DIR": "elsewhere"}, set()),
        ({"RUN": {**ATTACK, "attack": {"ATTACK.EPS_255": [4], "ATTACK.IMS_PER_BATCH": 8}}}, set()),
    ],
)
def test_a_key_changes_with_what_changes_the_result(
    tmp_path: Path, changes: dict[str, object], other: set[str]
) -> None:
    before, now = keys(tmp_path), keys(tmp_path, **changes)
    assert {step for step in before if before[step] != now[step]} == other


def test_a_wrong_key_is_said_with_its_variant(tmp_path: Path) -> None:
    path = write(tmp_path, VARIANTS={"a": {}, "b": {"SOLVER.BASE_LRR": 1}})
    with pytest.raises(InputError) as caught:
        cells_of(path)
    assert str(caught.value) == (
        f"{path}: variant b, train: unknown key SOLVER.BASE_LRR; did you mean 'SOLVER.BASE_LR'?"
    )


def test_a_study_that_trains_nothing_names_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"TEST\.WEIGHT is empty for variant plain"):
        cells_of(write(tmp_path, RUN=["test"]))
    cell = cells_of(write(tmp_path, RUN={"test": {"TEST.WEIGHT": "there.pth"}}))[0]
    assert [step.name for step in cell.steps] == ["test"]
    assert "there.pth" in cell.steps[0].arguments


def test_patterns_choose_cells(tmp_path: Path) -> None:
    cells = cells_of(write(tmp_path, DATA_SEEDS=[0, 1]))
    assert len(chosen(cells, ())) == 8
    assert names(chosen(cells, ["lfm/1/data0"])) == ["lfm/seed1/data0"]
    assert names(chosen(cells, ["lfm/seed1/1"])) == ["lfm/seed1/data1"]
    assert names(chosen(cells, ["*/0/1", "lfm/1/1"])) == [
        "plain/seed0/data1", "lfm/seed0/data1", "lfm/seed1/data1",
    ]  # fmt: skip
    assert {cell.variant for cell in chosen(cells, ["pl*"])} == {"plain"}
    with pytest.raises(InputError, match=r"--only lfn means no cell; did you mean 'lfm'\?"):
        chosen(cells, ["lfn"])
    with pytest.raises(InputError, match="--only lfm/7 means no cell"):
        chosen(cells, ["lfm/7"])


def test_people_have_a_fingerprint_which_other_people_do_not_share(data: Path) -> None:
    tiny = ("DATASETS.SYNTHETIC.PRESET", "tiny", "DATASETS.ROOT_DIR", str(data))
    cfg = load_cfg("synthetic_baseline.yml", tiny)
    digest = DataFingerprints(train=True, make_missing=False)
    assert digest(cfg) == DataFingerprints(train=True, make_missing=True)(cfg) != ""
    assert digest(cfg) != DataFingerprints(train=False, make_missing=False)(cfg)
    missing = load_cfg("synthetic_baseline.yml", (*tiny, "DATASETS.SYNTHETIC.SEED", "9"))
    assert digest(missing) == ""  # and nothing is drawn
    assert [path.name for path in data.iterdir()] == ["synthetic-tiny-seed0-wide"]


@pytest.mark.parametrize("preset", ["", "small"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_study_makes_cells(path: Path, preset: str) -> None:
    study = read_study(path, preset)
    cells = plan(study, lambda cfg: "")
    # Controls of LFM change one thing of it.
    assert study.baseline == ("lfm" if path.stem == "record_controls" else "plain")
    end = "_small" if preset else ""
    assert study.output == Path(f"outputs/ablations/{path.stem}{end}")
    assert [step.name for step in cells[0].steps] == ["train", "test", "attack"]
    # The mechanism is measured on the weights of one of them.
    assert study.keep == ("weights" if path.stem == "record_deep" else "results")
    # No two variants are the same recipe.
    first = {cell.variant: cell.recipe for cell in cells if cell.seed == 0 and not cell.data}
    assert len(set(first.values())) == len(first) == len(study.variants)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_study_says_its_cost(path: Path) -> None:
    head = path.read_text().split("_BASE_")[0]
    assert "hours" in head and "minutes" in head and "--dry-run" in head
    assert yaml.safe_load(path.read_text())["PRESETS"].keys() >= {"small"}


def test_the_file_in_the_docs_makes_cells(tmp_path: Path) -> None:
    text = (ROOT / "docs/ablations.md").read_text()
    path = tmp_path / "x.yml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    found = cells_of(path)
    assert [cell.variant for cell in found[:6]] == [
        "plain", "erasing", "lfm_p0.15_zero", "lfm_p0.15_u", "lfm_p0.3_zero", "lfm_p0.3_u",
    ]  # fmt: skip
    assert len(found) == 6 * 3 * 2
    assert names(cells_of(path, "small")) == [
        "plain/seed0/data0", "erasing/seed0/data0", "plain/seed0/data1", "erasing/seed0/data1",
    ]  # fmt: skip
