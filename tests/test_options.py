"""Options of commands that no config key stands for."""

from pathlib import Path

import pytest

from tests.commands import run


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--preset", "quik", "error: --preset has the unknown value 'quik'; did you mean 'quick'?"),
        ("--seed", -1, "error: --seed must be a whole number of at least 0, got -1"),
        ("--root", "a\0b", "argument --root: must be text without control characters"),
        ("--root", "x" * 300, "argument --root: has a part of 300 bytes"),
    ],
)
def test_a_bad_option_is_called_by_its_name(
    tmp_path: Path, option: str, value: object, says: str
) -> None:
    done = run("make-synthetic", "--root", tmp_path, f"{option}={value}", code=2)
    assert says in done.stderr
