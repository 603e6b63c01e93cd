"""Kills trainings and breaks their disk, and looks whether they arrive at the same bits.

    python scripts/torture.py                     # 100 kills and 20 faults: half an hour on 2 cores
    python scripts/torture.py --kills 10 --faults 5 --variants fp32 workers

A training on tiny synthetic people runs once in peace. Then it is run again and killed (SIGKILL,
SIGTERM, SIGINT; at a random moment, or while a checkpoint is being written), goes on with
``--resume``, is killed again, and so on until it ends. It has survived if weights, optimizer and
metrics.jsonl are then those of the run in peace, to the bit. A fault is an error of the system
(EIO, ENOSPC, a write that stops in the middle, a folder that vanishes) in one of the run's writes:
the run may end with exit code 2 and one line, and has to arrive like the others when it goes on.

Each run is a fork of this process, which has torch loaded and has not used it: a start costs
nothing. The script ends with exit code 1 if something was lost.
"""

import argparse
import contextlib
import errno
import io
import json
import os
import random
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch._dynamo  # an optimizer imports it: loaded here, no run has to
import torchvision  # noqa: F401  so does a network

from reid.cli.main import main as reid
from reid.engine import checkpoint, run_files
from reid.jobs import train as _loaded  # noqa: F401  loaded here as well

BASE = [
    "DATASETS.NAMES", "synthetic",
    "DATASETS.SYNTHETIC.PRESET", "tiny",
    "MODEL.BACKBONE.NAME", "resnet18",
    "MODEL.PRETRAIN_CHOICE", "none",
    "MODEL.DEVICE", "cpu",
    "MODEL.REGULARIZER.NAME", "lfm",
    "INPUT.SIZE_TRAIN", "(64,32)",
    "INPUT.SIZE_TEST", "(64,32)",
    "SOLVER.SCHEDULE", "multistep",
    "SOLVER.IMS_PER_BATCH", "16",
    "SOLVER.MAX_EPOCHS", "3",
    "SOLVER.EVAL_PERIOD", "2",
    "SOLVER.CHECKPOINT_STEPS", "2",
    "SOLVER.PRECISION", "fp32",
    "DATALOADER.NUM_WORKERS", "0",
]  # fmt: skip
VARIANTS = {
    "fp32": [],
    "bf16": ["SOLVER.PRECISION", "bf16"],
    "adversarial": ["SOLVER.ADVERSARIAL.ENABLED", "True", "SOLVER.ADVERSARIAL.STEPS", "1"],
    "workers": ["DATALOADER.CACHE", "none", "DATALOADER.NUM_WORKERS", "2"],
    "processes": ["SOLVER.IMS_PER_BATCH", "8"],
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FAULTS = ("EIO", "ENOSPC", "short write", "vanished folder")
PATIENCE = 300.0  # seconds after which a run counts as hung


@dataclass
class Trial:
    """One training that is disturbed until it ends."""

    variant: str
    folder: Path
    data: Path
    processes: int = 1
    more: Sequence[str] = ()
    codes: list[int] = field(default_factory=list)
    log: str = ""

    def start(self, prepare: Callable[[], None] | None = None) -> int:
        """Starts the training, or lets it go on; returns the number of its group of processes.

        Args:
            prepare: Called in the new process first; it may break things.
        """
        output = self.folder.parent / f"{self.folder.name}.out"
        leader = os.fork()
        if leader:
            with contextlib.suppress(OSError):
                os.setpgid(leader, leader)
            return leader
        os.setpgid(0, 0)
        sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        self._become_run(prepare)

    def _become_run(self, prepare: Callable[[], None] | None) -> None:
        """Trains in this process and ends it; forks the other processes of a run of several."""
        if self.processes > 1:
            self._fork_ranks()
        code = 0
        try:
            if prepare is not None:
                prepare()
            reid(["train", *self.settings()])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        os._exit(code)

    def _fork_ranks(self) -> None:
        """Forks the processes and returns in each; this one ends with the code of the first.

        As torchrun does it: a signal is passed on.
        """
        early: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: early.append(number))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        children = []
        for rank in range(self.processes):
            if child := os.fork():
                children.append(child)
                continue
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            where = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.processes}
            rest = {"LOCAL_WORLD_SIZE": self.processes, "MASTER_PORT": port}
            os.environ.update({k: str(v) for k, v in {**where, **rest}.items()})
            os.environ["MASTER_ADDR"] = "127.0.0.1"
            return
        for number in early:  # the group got it; a process that was forked after it did not
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, number)
        codes = _ends_of(children)
        # A process that ends because another one failed ends with 1; the other one's code counts.
        codes.sort(key=lambda code: (code in (0, 1), code != 1))
        os._exit(codes[0] & 255)

    def settings(self) -> list[str]:
        """The command line, behind ``reid train``."""
        places = ["DATASETS.ROOT_DIR", str(self.data), "OUTPUT_DIR", str(self.folder)]
        return ["--resume", *BASE_CONFIG, *BASE, *VARIANTS[self.variant], *self.more, *places]

    def wait(self, group: int, seconds: float) -> bool:
        """Waits for the end; returns whether it came within ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(group, os.WNOHANG)
            if pid:
                self.codes.append(os.waitstatus_to_exitcode(status))
                output = self.folder.parent / f"{self.folder.name}.out"
                self.log += output.read_text(errors="replace")
                return True
            time.sleep(0.002)
        return False

    def finish(self) -> None:
        """Lets it go on in peace until it ends."""
        group = self.start()
        if not self.wait(group, PATIENCE):
            os.killpg(group, signal.SIGKILL)
            self.wait(group, 10)
            self.log += "\nit hung"

    def result(self) -> Any:
        """What has to be equal to the bit: weights, optimizer, rows without times."""
        state = checkpoint.load(self.folder / run_files.LAST)
        lines = (self.folder / run_files.METRICS).read_text().splitlines()
        timing = ("images_per_second", "train_seconds")
        rows = [{k: v for k, v in json.loads(line).items() if k not in timing} for line in lines]
        return [state["model"], state["optimizer"], state["best"], state["epoch"], rows]


def _ends_of(children: list[int]) -> list[int]:
    """Waits for processes, and returns their codes; where one fails, the others are ended."""
    codes: list[int] = []
    while len(codes) < len(children):
        codes.append(os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]))
        if codes[-1] and len(codes) < len(children):
            time.sleep(5)  # so much time they have to end by themselves
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
    return codes


BASE_CONFIG = ["--config-file", str(Path(__file__).parents[1] / "configs/synthetic_lfm.yml")]


def same(left: Any, right: Any) -> bool:
    """Compares tensors to the bit, and everything else by value."""
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def kill(trial: Trial, rng: random.Random, seconds: float) -> str:
    """Starts the run and kills it; returns how, or "" if it had ended before.

    Args:
        trial: The training.
        rng: Draws signal and moment.
        seconds: How long the run takes in peace.
    """
    number, while_writing = rng.choice(SIGNALS), rng.random() < 0.4
    delay = rng.uniform(0, 0.8 * seconds)
    group = trial.start()
    if trial.wait(group, delay):
        return ""
    if while_writing:
        end = time.monotonic() + PATIENCE
        while not list(trial.folder.glob(".*.pth.*.tmp")) and time.monotonic() < end:
            if trial.wait(group, 0.003):
                return ""
    os.killpg(group, number)
    if not trial.wait(group, 60.0):
        os.killpg(group, signal.SIGKILL)
        trial.wait(group, 10)
        trial.log += f"\nit went on for a minute after {number.name}"
        trial.codes.append(99)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
        if number != signal.SIGKILL:
            trial.log += f"\nprocesses were left after {number.name}"
            trial.codes.append(98)
    return f"{number.name}{' while it wrote' if while_writing else ''}"


def fault(trial: Trial, rng: random.Random, seconds: float, kind: str) -> None:
    """Lets one write of a run fail, and waits for its end.

    Args:
        trial: The training.
        rng: Draws which write.
        seconds: How long the run takes in peace.
        kind: One of FAULTS.
    """
    after = rng.randrange(1, 20)

    def failing_sync() -> None:
        real, count, number = os.fsync, [0], getattr(errno, kind)

        def sync(handle: int) -> None:
            count[0] += 1
            if after <= count[0] < after + 2:
                raise OSError(number, os.strerror(number))
            real(handle)

        os.fsync = sync

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (rng.randrange(10**6, 10**8), -1))

    prepare = {"short write": small_files, "vanished folder": None}.get(kind, failing_sync)
    group = trial.start(prepare)
    ended = False
    if kind == "vanished folder":
        ended = trial.wait(group, rng.uniform(0.2, 0.9) * seconds)
        aside = trial.folder.with_name(f"{trial.folder.name}.aside")
        if not ended and trial.folder.exists():
            trial.folder.rename(aside)
    if not ended and not trial.wait(group, PATIENCE):
        os.killpg(group, signal.SIGKILL)
        trial.wait(group, 10)
        trial.codes.append(99)


def verdict(trial: Trial, expected: Any, whole_rows: bool = True) -> str:
    """Says what was lost; "" if nothing was."""
    # Of several processes, the one that waits for them gives -15 as 241.
    allowed = {0, 2, 130, 143, -9, -2, -15, 247, 254, 241}
    strange = [code for code in trial.codes if code not in allowed]
    if strange:
        return f"exit codes {strange}"
    if "Traceback" in trial.log:
        return "a traceback"
    try:
        found = trial.result()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    # A folder that vanished took the rows with it.
    left, right = (found, expected) if whole_rows else (found[:4], expected[:4])
    return "" if same(left, right) else "other bits"


def make_data(root: Path) -> None:
    """Draws the people."""
    with contextlib.redirect_stdout(io.StringIO()):
        reid(["make_synthetic", "--preset", "tiny", "--seed", "0", "--root", str(root)])


def run_variant(
    variant: str,
    kills: int,
    faults: Sequence[str],
    root: Path,
    rng: random.Random,
    more: Sequence[str] = (),
) -> tuple[Counter[str], list[str]]:
    """Disturbs one variant; returns the counts of tried and survived, and what was lost.

    Args:
        variant: Name of the variant.
        kills: Number of kills.
        faults: Kinds of faults, one trial each.
        root: Folder for data and runs.
        rng: Draws moments and signals.
        more: Further settings of the runs, KEY VALUE ...
    """
    processes = 2 if variant == "processes" else 1
    counts: Counter[str] = Counter()
    lost: list[str] = []

    def trial(name: str) -> Trial:
        return Trial(variant, root / f"{variant}_{name}", root / "data", processes, more)

    peace = trial("peace")
    began = time.monotonic()
    peace.finish()
    seconds = time.monotonic() - began
    if peace.codes != [0]:
        raise SystemExit(f"the run in peace ended with {peace.codes}:\n{peace.log}")
    expected = peace.result()

    def judge(one: Trial, what: str, tried: int, kind: str) -> None:
        problem = verdict(one, expected, "vanished folder" not in what)
        counts[f"{kind} tried"] += tried
        counts[f"{kind} survived"] += 0 if problem else tried
        if problem:
            lost.append(f"{variant}: {what}: {problem}\n{one.log[-2000:]}")
        shutil.rmtree(one.folder, ignore_errors=True)
        shutil.rmtree(one.folder.with_name(f"{one.folder.name}.aside"), ignore_errors=True)

    number = 0
    while counts["kills tried"] < kills:
        one, ways = trial(str(number)), []
        number += 1
        while len(ways) < min(4, kills - counts["kills tried"]):
            if not (way := kill(one, rng, seconds)):
                break
            ways.append(way)
        one.finish()
        judge(one, ", ".join(ways), len(ways), "kills")
    for kind in faults:
        one = trial(kind.replace(" ", "_"))
        fault(one, rng, seconds, kind)
        one.finish()
        judge(one, kind, 1, "faults")
    return counts, lost


def main() -> None:
    """Disturbs every variant, and prints survived / tried."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="in all variants together")
    parser.add_argument("--faults", type=int, default=20, help="in all variants together")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("more", nargs="*", metavar="KEY VALUE", help="settings of the runs")
    args = parser.parse_intermixed_args()
    rng, total, lost = random.Random(args.seed), Counter[str](), list[str]()
    kinds = [FAULTS[i % len(FAULTS)] for i in range(args.faults)]
    parts = len(args.variants)
    with tempfile.TemporaryDirectory(prefix="reid-torture-") as folder:
        make_data(Path(folder) / "data")
        for index, variant in enumerate(args.variants):
            kills = args.kills // parts + (index < args.kills % parts)
            counts, found = run_variant(
                variant, kills, kinds[index::parts], Path(folder), rng, args.more
            )
            print(
                f"{variant:<12} kills {counts['kills survived']}/{counts['kills tried']}"
                f"  faults {counts['faults survived']}/{counts['faults tried']}",
                flush=True,
            )
            total += counts
            lost += found
    print(
        f"survived: {total['kills survived']} of {total['kills tried']} kills,"
        f" {total['faults survived']} of {total['faults tried']} faults"
    )
    for text in lost:
        print(f"LOST {text}", file=sys.stderr)
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
