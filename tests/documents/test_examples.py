"""Every command and every snippet of the pages is run, in the order of its page."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from commands import ROOT, InThisProcess
from documents import tiny
from documents.blocks import (
    SHELL,
    Block,
    Command,
    blocks_of,
    commands_of,
    is_console,
    pages,
    parse,
)
from documents.prepared import MAKERS, fill
from documents.printed import differences
from documents.rules import NOT_RUN, lacks_an_extra, not_run
from documents.running import Reader, tool_of
from outside import forgotten

from reid.jobs import ablate
from reid.synthetic import ensure_synthetic
from reid.weights import FAMILIES

pytestmark = pytest.mark.early


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every page begins."""
    folder = tmp_path_factory.mktemp("home")
    ensure_synthetic(folder / "datasets", "tiny", 0, workers=1)
    fill(folder)
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "docs", folder / "docs")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that one page needed, for the next."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a page; all pages share the data sets, which one may draw for the next."""
    for path in home.iterdir():
        if path.name == "datasets":
            (tmp_path / path.name).symlink_to(path)
        elif path.is_dir():
            shutil.copytree(path, tmp_path / path.name)
        else:
            shutil.copy(path, tmp_path)
    (tmp_path / "data").symlink_to(home / "datasets")  # ~/data
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for attribute in ("_table", "_settings", "_files"):  # no part of the config, so not forgotten
        monkeypatch.setattr(FAMILIES, attribute, dict(getattr(FAMILIES, attribute)))
    monkeypatch.setattr(ablate, "StepProcess", InThisProcess)
    return tmp_path


@pytest.mark.parametrize("page", pages())
@pytest.mark.usefixtures("folder")
def test_examples_do_what_the_page_says(page: str, made: Path) -> None:
    with tiny.settings(), forgotten(Path("parts").absolute().glob("*.py")):
        Reader(page, made).read()


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[Command]:
    """All commands of all pages."""
    folder = tmp_path_factory.mktemp("empty")
    blocks = [block for page in pages() for block in blocks_of(page)]
    shell = [block for block in blocks if block.language in SHELL or is_console(block)]
    return [command for block in shell for command in commands_of(block, folder)]


def test_each_rule_is_needed(commands: list[Command]) -> None:
    """Prints what no test runs (pytest -rP), and finds rules that nothing falls under any more."""
    used = set()
    for command in commands:
        rule = not_run(command.typed)
        if rule is not None:
            used.add(rule)
            print(f"not run: {command.place}: {command.typed}  ({rule.because})")  # noqa: T201
    assert [rule.pattern for rule in NOT_RUN if rule not in used] == []


def test_what_is_prepared_is_named_by_a_page() -> None:
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in pages())
    assert [name for name in MAKERS if Path(name).name not in text and name not in text] == []


@pytest.mark.parametrize("page", pages())
def test_commands_stand_in_blocks_of_a_shell(page: str) -> None:
    """A block without a language is text, and nobody would run it."""
    loose = [block for block in blocks_of(page) if not block.language and not is_console(block)]
    for block in loose:
        for number, line in enumerate(block.text.splitlines(), 1):
            found = tool_of(line.split()[:2]) if line.split()[1:] else None
            assert found is None, (
                f"{block.place(number)}: write ```bash or ```console, or $ before it"
            )


# What the tests themselves are made of


def block(text: str, language: str = "bash", **more: str) -> Block:
    return Block("page.md", 10, language, text, **more)


def words(text: str, folder: Path) -> list[tuple[int, tuple[str, ...]]]:
    return [(one.line, one.words) for one in commands_of(block(text), folder)]


def test_blocks_know_their_place_and_what_stands_in_front() -> None:
    text = """words
<!-- file: a.py -->
```python
1
```
more
<!-- measured: torch 2, a processor -->
```
$ reid keys
```
"""
    assert list(parse("page.md", text)) == [
        Block("page.md", 4, "python", "1\n", file="a.py"),
        Block("page.md", 9, "", "$ reid keys\n", measured="torch 2, a processor"),
    ]


def test_a_shell_reads_the_commands(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").touch()
    text = """
for seed in 0 1; do
    OMP_NUM_THREADS=1 reid train SEED $seed \\
        LOSS.NAMES [ce,triplet]  # a comment
done
./scripts/test.sh && pip install "reid-lfm[timm]"
X=1 env/bin/pip --version
reid show {x,y}/z *.jpg '*.png' ~/data
"""
    assert words(text, tmp_path) == [
        (2 + 1, ("reid", "train", "SEED", "0", "LOSS.NAMES", "[ce,triplet]")),
        (2 + 1, ("reid", "train", "SEED", "1", "LOSS.NAMES", "[ce,triplet]")),
        (6, ("./scripts/test.sh",)),
        (6, ("pip", "install", "reid-lfm[timm]")),
        (7, ("env/bin/pip", "--version")),
        (8, ("reid", "show", "x/z", "y/z", "b.jpg", "*.png", f"{tmp_path}/data")),
    ]


def test_what_is_shown_belongs_to_its_command(tmp_path: Path) -> None:
    text = "$ reid keys \\\n    TEST\nsome keys\n\nand more\n$ reid --help\n"
    found = commands_of(block(text, ""), tmp_path)
    assert [(one.place, one.words[1], one.output) for one in found] == [
        ("page.md:10", "keys", "some keys\n\nand more"),
        ("page.md:15", "--help", ""),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "measured", "wrong"),
    [
        ("mAP 20.0 of 3", "mAP 20.1 of 3", False, ""),
        ("mAP 20.0 of 3", "mAP 20.3 of 3", False, "mAP 20.0 of 3"),
        ("mAP 20.0 of 3", "mAP 90 of 8", True, ""),
        ("mAP 20.0 of 3", "Rank-1 20.0 of 3", True, "mAP 20.0 of 3"),
        ("a  b\n--- -----\n1  2", "a b\n----- ----\n3 4\n5 6", True, ""),
        ("one\ntwo", "one", False, "two"),
        (None, "anything", False, ""),
    ],
)
def test_what_a_page_shows_is_compared(
    shown: str | None, printed: str, measured: bool, wrong: str
) -> None:
    assert differences(shown, printed, measured) == wrong


def test_an_extra_that_is_missing_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert lacks_an_extra("reid export run -o m.onnx") and lacks_an_extra("import onnxruntime")
    assert not lacks_an_extra("reid export run --to torch -o m.pt2")


def refusal(text: str, language: str = "bash") -> str:
    """What the reader of a page says about a wrong block."""
    one = block(text, language)
    with tiny.settings(), pytest.raises(AssertionError) as found:
        Reader("page.md", Path("made")).block(one)
    return str(found.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "reid train --config-file market_lfm.yml SOLVER.BASE_LRR 1",
            "unknown key SOLVER.BASE_LRR",
        ),
        ("torchrun tools/train.py --config-file market_lfm.yml SOLVER.BASE_LRR 1", "unknown key"),
        ("torchrun tools/train.py --config-file market_lfm.yml --resumed", "--resumed"),
        ("python scripts/bench_eval.py --no-such", "--no-such"),
        ("reid keys NOTHING", "no key or section NOTHING"),
        ("frobnicate reid", "no test knows this command"),
    ],
)
def test_a_wrong_command_is_found(folder: Path, text: str, says: str) -> None:
    said = refusal(text)
    assert said.startswith("page.md:10: ") and says in said


def test_wrong_snippets_and_files_are_found(folder: Path) -> None:
    assert "page.md:10: ZeroDivisionError" in refusal("1 / 0\n", "python")
    assert "unknown key SOLVER.STEP" in refusal("_BASE_: base.yml\nSOLVER: {STEP: 3}\n", "yaml")
