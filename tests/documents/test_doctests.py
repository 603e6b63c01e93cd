"""Examples in docstrings give what stands below them."""

import doctest
import importlib
import re

import pytest
from commands import ROOT

LEAST = 15  # so many objects had examples when this test was written


def modules() -> list[str]:
    """The modules of the package with an example."""
    files = sorted((ROOT / "reid").rglob("*.py"))
    with_examples = [path for path in files if re.search(r"^ +>>> ", path.read_text("utf-8"), re.M)]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in with_examples]


def examples(module: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("module", modules())
def test_examples_give_what_they_say(module: str) -> None:
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in examples(module):
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)


def test_no_example_is_passed_over() -> None:
    assert sum(len(examples(module)) for module in modules()) >= LEAST
