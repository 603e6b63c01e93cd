"""Standard output that nobody reads, a full disk, characters that a console cannot print."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reid.cli.main import guarded
from reid.utils.console import abandon_stdout, one_line, safe_output
from reid.utils.errors import InputError
from reid.utils.logs import get_logger
from tests.commands import command

FULL = Path("/dev/full")


@contextmanager
def stdout_to(
    monkeypatch: pytest.MonkeyPatch, handle: int, encoding: str = "utf-8"
) -> Iterator[None]:
    """Makes a handle standard output, as a shell does."""
    stream = open(handle, "w", encoding=encoding)  # noqa: SIM115 - it must not be closed by a with
    monkeypatch.setattr(sys, "stdout", stream)
    yield
    monkeypatch.undo()
    try:
        stream.close()
    except OSError:
        pytest.fail("Python would fail at its end, when it writes what is left")


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_a_run_whose_reader_left_goes_on_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with stdout_to(monkeypatch, closed_pipe()), safe_output():
        logger = get_logger(tmp_path, "pipe")
        for number in range(100):
            logger.info(f"line {number}")
    assert len((tmp_path / "pipe.log").read_text().splitlines()) == 100
    assert capsys.readouterr().err == (
        f"standard output cannot be written (Broken pipe); the log goes on in"
        f" {tmp_path / 'pipe.log'}\n"
    )


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
def test_a_log_on_a_full_disk_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full.log").symlink_to(FULL)
    with stdout_to(monkeypatch, os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)):
        logger = get_logger(tmp_path, "full")
        for number in range(100):
            logger.info(f"line {number}")
        get_logger(tmp_path, "full")  # closes the old file, and what it holds back fails once more
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].endswith(
        "full.log cannot be written: No space left on device"
    )
    assert len((tmp_path / "out").read_text().splitlines()) == 100
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def test_what_a_console_cannot_print_is_escaped_and_the_file_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "运行"
    folder.mkdir()
    out = tmp_path / "out"
    with stdout_to(monkeypatch, os.open(out, os.O_WRONLY | os.O_CREAT), "ascii"), safe_output():
        get_logger(folder, "words").info("40 ± 2 in 运行, \udce6")
        sys.stdout.write("40 ± 2\n")
    assert out.read_text().splitlines()[0].endswith(r"40 \xb1 2 in \u8fd0\u884c, \udce6")
    assert out.read_text().splitlines()[1] == r"40 \xb1 2"
    assert "40 ± 2 in 运行" in (folder / "words.log").read_text(encoding="utf-8")


def test_a_logger_alone_escapes_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    get_logger(tmp_path, "alone").info("±")
    assert stream.buffer.getvalue().endswith(rb"\xb1" + os.linesep.encode())  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_command_that_prints_to_nobody_ends_with_141_and_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    with stdout_to(monkeypatch, closed_pipe()), pytest.raises(SystemExit) as stop:
        guarded(lambda: sys.stdout.write("x" * size))
    assert stop.value.code == 141 and capsys.readouterr().err == ""


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_command_that_prints_to_a_full_disk_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    with stdout_to(monkeypatch, os.open(FULL, os.O_WRONLY)), pytest.raises(SystemExit) as stop:
        guarded(lambda: sys.stdout.write("x" * size))
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: standard output cannot be written: No space left on device\n"
    )


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
def test_a_disk_that_fills_up_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        guarded(lambda: FULL.write_bytes(b"x"))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said == "error: a file cannot be written or read: No space left on device\n"
    with pytest.raises(FileNotFoundError):  # may be a bug
        guarded(lambda: Path("/nowhere").read_bytes())


def test_other_errors_keep_their_code_and_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def bad_input() -> None:
        sys.stdout.write("x")
        raise InputError("a bad key")

    def broken() -> None:
        raise BrokenPipeError("of something else")

    with stdout_to(monkeypatch, closed_pipe()):
        with pytest.raises(SystemExit) as stop:
            guarded(bad_input)
        abandon_stdout()
    assert stop.value.code == 2
    with pytest.raises(BrokenPipeError, match="of something else"):
        guarded(broken)


def test_one_line_escapes_what_steers_a_terminal() -> None:
    assert one_line("a\n b\x1b[31m\x9b") == r"a b\x1b[31m\x9b"


def test_the_real_command_into_a_pipe_that_is_closed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command("keys", "SEED"), stdout=writer, stderr=subprocess.PIPE, check=False, timeout=120
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
