"""Hands random input of every kind to the commands: each case is done, or refused in one line.

    python scripts/fuzz.py                              1000 cases, minutes
    python scripts/fuzz.py --cases 100 --kinds images --keep /tmp/fuzz

A case holds if the command succeeds, or ends with exit code 2 (1 for check-data) and one line; if
it starts no program, leaves its input unchanged and takes less than --seconds; and if a checkpoint
with flipped bytes is not taken for a good one. Cases run in this process, a child for each hundred,
so that a crash or a hang ends no more than that. The same seed gives the same cases with the same
version of hypothesis. The exit code is 1 if a case does not hold.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz_cases import KINDS, ROOT, Case, prepare
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

CHUNK = 100  # cases of a child
MEMORY = 4 << 30  # bytes that a child may take on top of what it has at its start
LONGEST = 4000  # characters of an error line that a person may still read


class Hang(BaseException):
    """The time of a case is over."""


STARTED: list[str] = []  # programs that the case has started


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        program = str(arguments[0])
        if Path(program).name != "git":  # asked for the commit
            STARTED.append(program)


def _alarm(*_: object) -> None:
    raise Hang


def outcome(case: Case, seconds: int) -> tuple[str, bool]:
    """Runs a case; returns what was wrong ("" if it held), and whether the command succeeded.

    Args:
        case: The case.
        seconds: Time that it may take.
    """
    from reid.cli.main import guarded

    before = [digest(path) for path in case.inputs]
    STARTED.clear()
    out, err, code = io.StringIO(), io.StringIO(), 0
    signal.alarm(seconds)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            guarded(case.work)
    except SystemExit as stop:
        code = stop.code
    except Hang:
        return f"took more than {seconds} s", False
    except BaseException as error:
        return _where(error), False
    finally:
        signal.alarm(0)
    problems = _complaints(code, err.getvalue())
    if STARTED:
        problems.append(f"started {STARTED[0]}")
    changed = [digest(path) for path in case.inputs] != before
    if changed and not (case.continued and code == 0):
        problems.append("changed its input")
    if Path("marker").exists():
        problems.append("ran code of its input")
    if code == 0 and (wrong := case.verdict()):
        problems.append(wrong)
    return "; ".join(problems), code in (0, 1)


def _complaints(code: Any, error: str) -> list[str]:
    lines = error.strip().splitlines()
    if "Traceback" in error:
        last = next(line for line in reversed(lines) if re.match(r"\w*(Error|Exception)\b", line))
        return [f"prints a traceback: {last[:150]}"]
    if code in (0, 1):
        return []
    if code != 2:
        return [f"exit code {code}"]
    if len(lines) != 1 or not lines[0].startswith("error: "):
        return [f"exit code 2 with {len(lines)} lines: {error[:150]!r}"]
    if len(lines[0]) > LONGEST:
        return [f"an error line of {len(lines[0])} characters: {lines[0][:100]}"]
    return ["an escape code in the error line"] if "\x1b" in lines[0] else []


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}reid{os.sep}" in frame.filename]
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "outside"
    return f"traceback at {place}: {type(error).__name__}: {' '.join(str(error).split())[:150]}"


def digest(path: Path) -> str:
    """Returns a hash over the names and contents of a file or folder; links are not followed.

    Args:
        path: The file or folder.
    """
    total = hashlib.sha256()
    if not os.path.lexists(path):
        return "gone"
    for name in [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]:
        mode = os.lstat(name).st_mode
        total.update(os.fsencode(name) + oct(mode).encode())
        if stat.S_ISREG(mode):
            total.update(name.read_bytes())
    return total.hexdigest()


def child(kind: str, cases: int, number: int, seconds: int, keep: Path | None) -> None:
    """Runs a chunk of cases; prints a JSON line before and after each.

    Args:
        kind: Key of KINDS.
        cases: Number of cases.
        number: Seed of the chunk.
        seconds: Time that a case may take.
        keep: Folder that gets the input of cases that did not hold; None keeps none.
    """
    import torch

    import reid.jobs.check_data
    import reid.jobs.test
    import reid.jobs.train  # noqa: F401, imported before memory is limited and time counts

    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.addaudithook(_note)
    signal.signal(signal.SIGALRM, _alarm)
    prepare(kind)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    make, count = KINDS[kind][0], 0

    @seed(number)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: Any) -> None:
        nonlocal count
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            case = make(data.draw, Path(folder))
            _say({"begins": case.what})
            problem, done = outcome(case, seconds)
            _say({"ends": problem.replace(folder, "."), "done": done})
            if problem and keep:
                target = keep / f"{kind}-{number}-{count}"
                for path in case.inputs:
                    with contextlib.suppress(Exception):  # pipes cannot be copied
                        target.mkdir(parents=True, exist_ok=True)
                        (shutil.copytree if path.is_dir() else shutil.copy)(
                            path, target / path.name
                        )
            count += 1
            os.chdir(ROOT)

    run()


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), file=sys.__stdout__, flush=True)


def chunks(kind: str, cases: int, arguments: argparse.Namespace) -> Iterator[tuple[str, str, bool]]:
    """Yields (what, problem, whether the command succeeded) of each case of a kind.

    Args:
        kind: Key of KINDS.
        cases: Number of cases.
        arguments: Those of the command line.
    """
    for start in range(0, cases, CHUNK):
        command = [
            sys.executable,
            __file__,
            "--child",
            kind,
            "--cases",
            str(min(CHUNK, cases - start)),
        ]
        command += [
            "--seed",
            str(arguments.seed * 1_000_000 + start),
            "--seconds",
            str(arguments.seconds),
        ]
        command += ["--keep", str(arguments.keep)] if arguments.keep else []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            what = None
            watch = _Watch(process, 3 * arguments.seconds + 120)
            for line in process.stdout:
                watch.touch()
                said = json.loads(line)
                if "begins" in said:
                    what = said["begins"]
                else:
                    yield what, said["ends"], said["done"]
                    what = None
            watch.stop()
            last = process.stderr.read().strip().splitlines()[-1:]
            if process.wait() and what is not None:
                yield what, f"the process ended with {process.returncode}: {last}", False
            elif process.returncode:
                raise SystemExit(f"{kind}: a case could not be made: {last}")


class _Watch:
    """Kills a process that says nothing for a time."""

    def __init__(self, process: subprocess.Popen, seconds: int) -> None:
        self.process, self.seconds = process, seconds
        signal.signal(signal.SIGALRM, lambda *_: process.kill())
        self.touch()

    def touch(self) -> None:
        signal.alarm(self.seconds)

    def stop(self) -> None:
        signal.alarm(0)


def report(kind: str, cases: int, arguments: argparse.Namespace) -> int:
    """Runs the cases of a kind, and prints held / tried; returns how many did not hold.

    Args:
        kind: Key of KINDS.
        cases: Number of cases.
        arguments: Those of the command line.
    """
    start, tried, done = time.perf_counter(), 0, 0
    problems: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for what, problem, success in chunks(kind, cases, arguments):
        tried += 1
        done += success and not problem
        if problem:
            problems[problem] += 1
            examples.setdefault(problem, what)
    failed = problems.total()
    held, seconds = tried - failed, time.perf_counter() - start
    refused = held - done
    print(f"{kind:12} {held:4} / {tried:4} held ({done} done, {refused} refused), {seconds:.0f} s")
    for problem, number in problems.most_common():
        print(f"  {number:4} x {problem}\n         {examples[problem][:200]}", flush=True)
    return failed


def main() -> int:
    """Runs all kinds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=30, help="time that a case may take")
    parser.add_argument("--keep", type=Path, help="folder for the input of cases that did not hold")
    parser.add_argument("--child", choices=sorted(KINDS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.cases, args.seed, args.seconds, args.keep and args.keep.resolve())
        return 0
    total = sum(KINDS[kind][1] for kind in args.kinds)
    with tempfile.TemporaryDirectory() as base:
        os.environ["REID_FUZZ_BASE"] = base
        shares = {kind: round(args.cases * KINDS[kind][1] / total) for kind in args.kinds}
        failed = sum(report(kind, cases, args) for kind, cases in shares.items())
    print("every case held" if not failed else f"{failed} cases did not hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
