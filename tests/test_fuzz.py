"""The fuzzer bites: what must not happen is reported as such. The fuzzing itself takes minutes."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ROOT

from reid.utils.errors import InputError

sys.path.insert(0, str(ROOT / "scripts"))
from fuzz import outcome
from fuzz_cases import Case


def judged(tmp_path: Path, work: Callable[[Path], None], verdict: str = "") -> tuple[str, bool]:
    file = tmp_path / "input"
    file.write_text("as it was")
    return outcome(Case("", lambda: work(file), (file,), lambda: verdict), 60)


def refuse(file: Path) -> None:
    raise InputError(f"{file} is no such thing")


def refuse_loudly(file: Path) -> None:
    sys.stderr.write("first a word\n")
    raise InputError("no")


def refuse_at_length(file: Path) -> None:
    raise InputError("no " * 2000)


def has_a_bug(file: Path) -> None:
    raise KeyError(file.name)


def writes(file: Path) -> None:
    file.write_text("changed")


def runs_code(file: Path) -> None:
    Path("marker").mkdir()


def ends_oddly(file: Path) -> None:
    raise SystemExit(3)


def nothing(file: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("work", "problem"),
    [
        (refuse_loudly, "exit code 2 with 2 lines: 'first a word"),
        (refuse_at_length, "an error line of "),
        (has_a_bug, "traceback at "),
        (writes, "changed its input"),
        (runs_code, "ran code of its input"),
        (ends_oddly, "exit code 3"),
    ],
)
def test_what_must_not_happen_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path], None], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert judged(tmp_path, work)[0].startswith(problem)


def test_a_success_and_a_refusal_hold(tmp_path: Path) -> None:
    assert judged(tmp_path, nothing) == ("", True)
    assert judged(tmp_path, refuse) == ("", False)
    assert judged(tmp_path, nothing, "a wrong success") == ("a wrong success", True)
    assert judged(tmp_path, refuse, "a wrong success") == ("", False)
