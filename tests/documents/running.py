"""Reads a page as its reader does: types its commands, runs its snippets, writes its files."""

import argparse
import contextlib
import io
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from commands import ROOT
from documents import tiny
from documents.blocks import SHELL, Block, Command, blocks_of, commands_of, is_console
from documents.prepared import names, prepare
from documents.printed import differences
from documents.rules import lacks_an_extra, not_run

from reid.cli.main import main
from reid.config import load_cfg
from reid.jobs.ablation.study_file import read_study
from reid.utils.errors import InputError

# Exit codes that are no failure, besides 0: two people; findings; a check that fails.
CODES = {"verify": 1, "check-data": 1, "attack": 1}
# They leave nothing that a page goes on with: what another page ran word for word is only parsed.
ONCE = ("attack", "keys", "check-data")
_DONE: dict[str, str] = {}  # command -> the page that ran it
FILES = ("mkdir", "cp", "mv", "ls")
# A block of these keys alone is a part of a study; it is laid over STUDY.
PARTS = {"SEEDS", "DATA_SEEDS", "RUN", "PRIMARY", "INTERACTIONS", "PRESETS", "BASELINE"}
STUDY = {
    "_BASE_": "defences/plain.yml",
    "VARIANTS": {"plain": {}, "erasing": {}, "lfm": {}, "lfm_erasing": {}},
}
_TOOL = re.compile(r"(?:\./)?tools/(\w+)\.py")
_STARTS = re.compile(r"reid|python3?|(\./)?tools/\w+\.py")
_SCRIPT = re.compile(r"(?:\./)?scripts/\w+\.py")


class Parsed(Exception):  # noqa: N818  # it is no error
    """Carries what the command line of a command was read as."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__("parsed")
        self.found = args


class Reader:
    """Reads one page, in the folder that the process is in.

    Args:
        page: The page, relative to the repository.
        made: A folder that keeps what was made for other pages.
    """

    def __init__(self, page: str, made: Path) -> None:
        self.page = page
        self.made = made
        self.namespace = names()
        self.before: dict[str, Sequence[str]] = {}  # the last arguments of each command

    def read(self) -> None:
        """Goes through the blocks in their order."""
        for block in blocks_of(self.page):
            self.block(block)

    def block(self, block: Block) -> None:
        """Does what a block holds; text is passed over."""
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text)
        if block.language in SHELL or is_console(block):
            for command in commands_of(block, Path.cwd()):
                self.command(command)
        elif block.language == "python" and not block.file:  # a file runs when it is imported
            self.snippet(block)
        elif block.language == "yaml":
            self.yaml(block)

    def command(self, command: Command) -> None:
        """Runs a command, or parses it where a rule says that no test runs it."""
        try:
            rule = not_run(command.typed)
            if rule is not None or lacks_an_extra(command.typed):
                check_parsed(command.words)
            elif command.words[0] in FILES:
                subprocess.run(command.words, check=True, capture_output=True)
            else:
                self.run(command)
        except Exception as error:
            raise AssertionError(f"{command.place}: {command.typed}\n{error}") from error

    def run(self, command: Command) -> None:
        found = tool_of(command.words)
        if found is None or not _STARTS.fullmatch(command.words[0]):
            raise AssertionError(
                "no test knows this command: run it in tests/documents/running.py, or say in"
                " tests/documents/rules.py why not"
            )
        tool, arguments = found
        if "..." in arguments:
            place = arguments.index("...")
            arguments[place : place + 1] = self.before[tool]
        self.before[tool] = arguments
        once = tool in ONCE or "--dry-run" in arguments
        if once and _DONE.setdefault(command.typed, self.page) != self.page:
            check_parsed(command.words)
            return
        prepare(command.typed, self.made)
        words = tiny.smaller([tool, *arguments])
        if words != [tool, *arguments]:
            check_parsed(["reid", tool, *arguments])
        if tool == "train" and "--resume" not in words:
            make_way(words)
        code, printed = call(words)
        wrong = differences(command.output, printed, measured=bool(command.block.measured))
        refused = (command.output or "").startswith("error: ")
        expected = (2,) if refused else (0, CODES.get(tool, 0))
        if code not in expected:
            raise AssertionError(f"it ended with exit code {code}\n{printed}")
        if wrong:
            raise AssertionError(
                f"the page shows what it doesn't print:\n{wrong}\nIt printed:\n{printed}"
            )

    def snippet(self, block: Block) -> None:
        """Runs Python; a traceback names the line of the page."""
        source = "\n" * (block.line - 1) + block.text
        code = compile(source, str(ROOT / self.page), "exec", dont_inherit=True)
        if lacks_an_extra(block.text):
            return
        prepare(block.text, self.made)
        try:
            exec(code, self.namespace)
        except Exception as error:
            raise AssertionError(f"{block.place()}: {type(error).__name__}: {error}") from error

    def yaml(self, block: Block) -> None:
        """Loads a config or a study."""
        tree = yaml.safe_load(block.text)
        file = Path(block.file or "page.yml")
        file.write_text(block.text)
        try:
            if "VARIANTS" in tree:
                check_study(file, tree)
            elif set(tree) <= PARTS:
                file.write_text(yaml.safe_dump({**STUDY, **tree}))
                check_study(file, tree)
            else:
                load_cfg(file)
        except Exception as error:
            raise AssertionError(f"{block.place()}: {error}") from error


def check_study(file: Path, tree: Any) -> None:
    for preset in ("", *tree.get("PRESETS", ())):
        read_study(file, preset)


def tool_of(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Returns the command of reid and its arguments; None if the words are none."""
    for place, word in enumerate(words):
        tool = _TOOL.fullmatch(word)
        behind = list(words[place + 1 :])
        if tool or (word == "reid" and behind):
            return (tool[1].replace("_", "-"), behind) if tool else (behind[0], behind[1:])
    return None


def call(words: Sequence[str]) -> tuple[int, str]:
    """Runs ``reid WORDS`` in this process; returns its exit code, and all that it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main(list(words))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            return code, out.getvalue()
    return 0, out.getvalue()


def parsed(start: Callable[[], object]) -> argparse.Namespace:
    """Starts a program, and ends it when its command line is read."""

    def ending(name: str) -> Any:
        reading = getattr(argparse.ArgumentParser, name)

        def read(*args: Any) -> None:
            with mock.patch.object(argparse.ArgumentParser, name, reading):
                raise Parsed(reading(*args))

        return mock.patch.object(argparse.ArgumentParser, name, read)

    said = io.StringIO()
    with contextlib.redirect_stderr(said), ending("parse_args"), ending("parse_intermixed_args"):
        try:
            start()
        except Parsed as found:
            return found.found
        except SystemExit as stop:
            raise AssertionError(said.getvalue()) from stop
    raise AssertionError("it never read its command line")


def check_parsed(words: Sequence[str]) -> None:
    """Reads the command line of what no test runs, its config and its study."""
    words = [word for word in words if word != "..."]
    script = next((place for place, word in enumerate(words) if _SCRIPT.fullmatch(word)), None)
    found = tool_of(words)
    if script is not None:
        path = ROOT / words[script]
        with mock.patch.object(sys, "argv", [str(path), *words[script + 1 :]]):
            args = parsed(lambda: runpy.run_path(str(path), run_name="__main__"))
    elif found is not None:
        tool, arguments = found
        args = parsed(lambda: main([tool, *arguments]))
    else:
        return
    if hasattr(args, "preset") and hasattr(args, "file"):
        read_study(args.file, args.preset, args.overrides)
    elif hasattr(args, "config_file"):
        load_cfg(args.config_file, args.overrides)


def make_way(words: Sequence[str]) -> None:
    """Removes the run that an earlier training of the page left: its commands are alternatives."""
    args = parsed(lambda: main(list(words)))
    with contextlib.suppress(InputError):  # the command itself will say it
        shutil.rmtree(load_cfg(args.config_file, args.overrides).OUTPUT_DIR, ignore_errors=True)
