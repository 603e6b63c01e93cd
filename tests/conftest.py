"""What holds for all tests: one thread for torch; and what many of them share.

On networks as small as those of tests a second thread mostly waits for the first, and waits by
counting: the suite took three times the CPU seconds, and ten times on a busy machine. It is set
before torch is imported, and programs that tests start inherit it. To test with threads, run
``OMP_NUM_THREADS=4 pytest``.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Has xdist deal out the files in the order below; else it begins with those of many tests."""
    if hasattr(config.option, "loadscopereorder"):  # of pytest-xdist 3.7 and newer
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files marked ``early`` first: none of them is left to run alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DATASETS.ROOT_DIR with the tiny synthetic people of seed 0; no test writes to it."""
    from reid.synthetic import ensure_synthetic

    root = tmp_path_factory.mktemp("datasets")
    ensure_synthetic(root, "tiny", 0, workers=1)
    return root


@pytest.fixture(scope="module")
def narrow_resnet18() -> Iterator[None]:
    """The resnet18 of this process is narrow while a file of tests runs.

    For files whose facts depend on no width. A command in a process of its own gets the same
    network by ``commands.NARROW``.
    """
    import narrow
    import torchvision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision.models, "resnet18", narrow.resnet18)
        yield


@pytest.fixture(scope="module")
def tiny_network() -> Iterator[None]:
    """What a file of tests brings in by IMPORTS is in no table when the file is done."""
    from outside import forgotten

    with forgotten([Path(__file__).with_name("tiny_network.py")]):
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; without one the tests that ask for it are skipped."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with driver.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()
