"""The notebooks run from the first cell to the last, with tiny settings."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from commands import ROOT

nbformat = pytest.importorskip("nbformat", reason="the notebooks need the extra dev")
pytest.importorskip("nbclient", reason="the notebooks need the extra dev")

pytestmark = pytest.mark.early

# What stands in the place of the settings. The steps of the study run in the kernel itself: a
# process for each would import torch for each.
TINY = {
    "first_steps": """
FOLDER, PRESET, EPOCHS = "here", "tiny", 1
MORE = "SOLVER.IMS_PER_BATCH 16 SOLVER.PRECISION fp32 DATALOADER.NUM_WORKERS 0"
""",
    "does_it_help": f"""
FOLDER, PRESET, SEEDS, EPOCHS, BATCH, JOBS = "here", "tiny", [0, 1], 1, 16, 1

import sys

sys.path += [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from commands import InThisProcess

from reid.jobs import ablate

ablate.StepProcess = InThisProcess
""",
}
LEFT = {  # files that must be there at the end
    "first_steps": ["here/people.png", "here/lfm/last.pth", "here/ranked.png"],
    "does_it_help": ["here/report.html", "here/study_small/study.json"],
}


@pytest.fixture(scope="module")
def notebooks() -> ModuleType:
    """scripts/notebooks.py, which the tests run with other settings."""
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "scripts/notebooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def committed() -> dict[str, Path]:
    return {path.stem: path for path in sorted((ROOT / "docs/notebooks").glob("*.ipynb"))}


def texts(notebook: dict) -> list[str]:
    """All that its cells printed."""
    outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", ())]
    found = [out.get("text", out.get("data", {}).get("text/plain", "")) for out in outputs]
    return ["".join(text) for text in found]


def test_each_notebook_has_tiny_settings() -> None:
    assert set(committed()) == set(TINY) == set(LEFT)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter's own packages
def test_a_notebook_runs(
    name: str, notebooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = notebooks.read(committed()[name])
    settings = notebooks.settings_cell(notebook).source
    missing = set(re.findall(r"^(\w+) = ", settings, re.M)) - set(
        re.findall(r"\b[A-Z]+\b", TINY[name])
    )
    assert not missing, f"tiny settings leave out {missing}"
    notebooks.run(notebook, tmp_path, TINY[name])
    assert [file for file in LEFT[name] if not (tmp_path / file).exists()] == []
    assert notebooks.settings_cell(notebook).source == settings


@pytest.mark.parametrize("name", TINY)
def test_what_is_committed_is_one_whole_run(name: str, notebooks: ModuleType) -> None:
    """In order, without an error, small, and it says what it was measured with."""
    path = committed()[name]
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [out for cell in cells for out in cell["outputs"]]
    assert not [out for out in outputs if out["output_type"] == "error"]
    assert path.stat().st_size <= notebooks.LARGEST
    printed = texts(notebook)
    assert re.match(
        r"reid \S+, Python \S+, torch \S+, numpy \S+, device cpu \(.+\), \d+ threads", printed[0]
    )
    assert not [text for text in printed if re.search(r"/(home|root|work|tmp|Users)/", text)]
