"""The command of a process, as it can be typed again."""

import sys

import pytest

from reid.utils.environment import command_line


@pytest.mark.parametrize(
    ("argv", "typed"),
    [
        (["/env/bin/reid", "train", "SEED", "1"], "reid train SEED 1"),
        (["/env/lib/reid/__main__.py", "test"], "reid test"),
        (["tools/test.py", "A", "[1, 2]"], "python tools/test.py A '[1, 2]'"),
        (["/x/pytest/__main__.py", "-q"], "python /x/pytest/__main__.py -q"),
    ],
)
def test_the_command_is_what_was_typed(
    argv: list[str], typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert command_line() == typed
