"""The fenced blocks of the pages, and the commands in them as a shell reads them."""

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from commands import ROOT

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "datasets/README.md",
    "docs/**/*.md",
    "configs/**/README.md",
)
SHELL = ("bash", "console")
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^ *```$", re.M | re.S)
# What stands in front of a block: <!-- file: erasing.yml -->, <!-- measured: torch 2.14.1, ... -->
_NOTE = re.compile(r"<!-- *(file|measured): *([^\n]*?) *-->\s*\Z")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        page: Its page, relative to the repository.
        line: Number of its first line.
        language: The word behind the fence.
        text: What stands in it.
        file: What ``<!-- file: NAME -->`` in front of it says, or "".
        measured: What ``<!-- measured: ... -->`` in front of it says, or "".
    """

    page: str
    line: int
    language: str
    text: str
    file: str = ""
    measured: str = ""

    def place(self, line: int = 1) -> str:
        """Returns page:line of a line of the block, which count from 1."""
        return f"{self.page}:{self.line + line - 1}"


class Command(NamedTuple):
    """A command of a page.

    Attributes:
        block: Where it stands.
        line: Number of its line in the block, from 1.
        words: What the shell makes of it.
        output: What the page says that it prints; None where it says nothing.
    """

    block: Block
    line: int
    words: tuple[str, ...]
    output: str | None = None

    @property
    def place(self) -> str:
        return self.block.place(self.line)

    @property
    def typed(self) -> str:
        return shlex.join(self.words)


def pages() -> list[str]:
    """The pages with a block of a kind that is tested."""
    found = sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})
    names = [str(path.relative_to(ROOT)) for path in found]
    return [name for name in names if blocks_of(name)]


def blocks_of(page: str) -> list[Block]:
    """Returns all fenced blocks of a page."""
    return list(parse(page, (ROOT / page).read_text(encoding="utf-8")))


def parse(page: str, text: str) -> Iterator[Block]:
    """Yields the fenced blocks of a page.

    Args:
        page: Its name, for messages.
        text: What it holds.
    """
    for match in _FENCE.finditer(text):
        note = _NOTE.search(text[: match.start()])
        notes = {note[1]: note[2]} if note else {}
        line = text.count("\n", 0, match.start("text")) + 1
        yield Block(page, line, match["language"].strip(), match["text"], **notes)


def is_console(block: Block) -> bool:
    """Says whether a block shows what was typed behind ``$``, and what came out."""
    return block.text.startswith("$ ")


def commands_of(block: Block, folder: Path) -> list[Command]:
    """Returns the commands of a block, with the shell's own loops, quotes and patterns.

    Args:
        block: The block.
        folder: Where the shell looks for the files that a pattern means.
    """
    if not is_console(block):
        return [Command(block, line, words) for line, words in _recorded(block.text, folder)]
    found = []
    lines = block.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        last = start
        while lines[last].endswith("\\"):
            last += 1
        typed = "\n".join(lines[start : last + 1])[2:]
        output = "\n".join(lines[last + 1 : end]).strip("\n")
        found += [
            Command(block, start + line, words, output) for line, words in _recorded(typed, folder)
        ]
    return found


_PATH = re.compile(r"^\s*(?:\w+=\S*\s+)*([\w.-]*/[\w./-]+)", re.M)

# A shell in which every command only writes down its line and its words.
_RECORDER = r"""
record() { printf '%s\0' "${BASH_LINENO[1]}" "$#" "$@" >> "$RECORDS"; }
command_not_found_handle() { printf '%s\0' "${BASH_LINENO[0]}" "$#" "$@" >> "$RECORDS"; }
for name in reid python source cd export PATHS; do
    eval "function $name { record $name \"\$@\"; }"
done
PATH=/nowhere  # nothing of the machine is found there
builtin source "$BLOCK"
"""


def _recorded(text: str, folder: Path) -> list[tuple[int, tuple[str, ...]]]:
    """Returns (line, words) of each command that bash would start."""
    paths = _PATH.findall(text)  # programs that bash does not look for on PATH
    with tempfile.TemporaryDirectory() as scratch:
        block, records = Path(scratch, "block"), Path(scratch, "records")
        block.write_text(text)
        records.touch()
        subprocess.run(
            [shutil.which("bash") or "bash", "--norc", "-c",
             _RECORDER.replace("PATHS", " ".join(paths))],
            cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={"BLOCK": str(block), "RECORDS": str(records), "HOME": str(folder)},
        )  # fmt: skip
        parts = iter(records.read_text().split("\0")[:-1])
    return [(int(line), tuple(next(parts) for _ in range(int(next(parts))))) for line in parts]
