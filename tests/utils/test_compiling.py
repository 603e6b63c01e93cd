"""Who waits for numba is told so: once, and only where somebody watches."""

import io
import sys

import numpy as np
import pytest

numba = pytest.importorskip("numba")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def doubled(values: np.ndarray) -> np.ndarray:
    return 2 * values


def word(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, module: str) -> str:
    """What is written while a function that says it is of ``module`` is compiled for two types."""
    from reid.utils.compiling import _Word

    monkeypatch.setattr(_Word, "said", False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(doubled, "__module__", module)
    function = numba.njit(doubled)
    assert function(np.arange(3)).tolist() == [0, 2, 4]
    assert function(np.ones(2)).tolist() == [2.0, 2.0]
    assert function(np.ones(2)).tolist() == [2.0, 2.0]
    return stream.getvalue()


def test_it_is_said_once_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said = word(monkeypatch, Terminal(), "reid.evaluation.compiled")
    assert said == "compiling loops, once on this machine: a few seconds\n"


def test_nothing_is_said_into_a_file_or_of_other_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    assert word(monkeypatch, io.StringIO(), "reid.evaluation.compiled") == ""
    assert word(monkeypatch, Terminal(), "somebody.else") == ""
