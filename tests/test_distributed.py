"""Several processes against one, by torchrun and gloo."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import NARROW, ROOT, command, lfm, rows, run, weights
from distributed_worker import LOSS, UNEVEN, gradients, trainer
from PIL import Image
from untrained import write_checkpoint

from reid.utils.errors import InputError
from reid.utils.session import session

Done = subprocess.CompletedProcess[str]
pytestmark = [pytest.mark.early, pytest.mark.usefixtures("narrow_resnet18")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def torchrun(processes: int, *args: object, code: int = 0) -> Done:
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    line = [*launcher, f"--master_port={free_port()}", *map(str, args)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=200, env=environment())
    assert (done.returncode != 0) == (code != 0), done.stdout + done.stderr
    return done


def place(processes: int) -> dict[str, str]:
    """The environment of one of several processes that no launcher starts, less its number."""
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return {**environment(), **here, "WORLD_SIZE": str(processes)}


def together(lines: list[list[str]]) -> tuple[str, list[int]]:
    """Starts one process a line without torchrun, as on machines of their own."""
    here = place(len(lines))
    processes = [
        subprocess.Popen(
            line,
            env={**here, "RANK": str(rank), "LOCAL_RANK": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, line in enumerate(lines)
    ]
    said = "".join(process.communicate(timeout=100)[1] for process in processes)
    return said, [process.returncode for process in processes]


def work(processes: int, task: str, folder: Path) -> None:
    """Has the processes of tests/distributed_worker.py do a task."""
    line = [sys.executable, str(ROOT / "tests/distributed_worker.py"), task, str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=200, env=place(processes))
    assert done.returncode == 0, done.stdout + done.stderr


def tool(name: str) -> Path:
    return ROOT / "tools" / name


def errors(done: Done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict]]:
    folder = tmp_path_factory.mktemp("worked")
    work(2, "parity", folder)
    return [torch.load(folder / f"process{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", LOSS)
def test_the_gradient_of_two_halves_is_that_of_the_whole(worked: list[dict], name: str) -> None:
    alone, value = gradients(name)
    for process in worked:
        theirs, their_value = process["gradients"][name]
        torch.testing.assert_close(their_value, value)
        torch.testing.assert_close(theirs, alone)
    assert any(grad is not None and grad.any() for grad in alone)
    # The weight and the bias of a classifier that the loss does not read: no gradient, no decay.
    assert (alone[-1] is None, alone[-2] is None) == (name != "ce", name != "ce")


def test_two_processes_train_as_one_with_twice_the_batch(
    worked: list[dict], tmp_path: Path
) -> None:
    alone = trainer(tmp_path, num_ids=4)
    alone.fit()
    start = trainer(tmp_path, num_ids=4).model.state_dict()
    proxies = trainer(tmp_path, num_ids=4).criterion.losses["proxies"].rows
    for process in worked:
        assert not torch.equal(process["centers"]["losses.proxies.rows"], proxies)
        torch.testing.assert_close(process["weights"], alone.model.state_dict())
        torch.testing.assert_close(process["averaged"], alone.ema.module.state_dict())
        torch.testing.assert_close(process["centers"], alone.criterion.state_dict())
        assert all(not torch.equal(start[k], process["weights"][k]) for k in start)
    for key, weight in worked[0]["weights"].items():
        assert torch.equal(weight, worked[1]["weights"][key])
        assert torch.equal(worked[0]["averaged"][key], worked[1]["averaged"][key])
        assert not torch.equal(worked[0]["averaged"][key], weight)


def test_uneven_parts_are_joined_in_order_without_padding(worked: list[dict]) -> None:
    for process in worked:
        assert process["uneven"]["rows"].tolist() == [[1.0, 1.0]] * 3
        assert process["uneven"]["shares"].tolist() == list(range(11))
        assert process["uneven"]["statistics"].tolist() == [0.5, 0.5]


def test_all_processes_leave_out_the_same_unreadable_images(worked: list[dict]) -> None:
    for process in worked:
        assert process["readable"] == [0, 1, 3, 0, 1, 3, 4, 6]


def test_the_processes_draw_differently_and_the_first_as_one_alone(
    worked: list[dict], tmp_path: Path
) -> None:
    alone = trainer(tmp_path, num_ids=4)
    alone.fit()
    for name in ("seeds", "draws"):
        first, second = (process[name] for process in worked)
        assert first == getattr(alone.model, name) and len(set(first)) == len(first) > 1
        assert not set(first) & set(second)


def test_what_cannot_be_is_refused_in_every_process(worked: list[dict]) -> None:
    for process in worked:
        sync, same, device = process["refusals"]
        assert (
            sync == "torch synchronizes batch normalization on CUDA only, and the model is on cpu"
        )
        assert "the number: process 1 of 2 has another one than process 0" in same
        assert device == (
            "device must be cuda or auto, since each of the 2 processes takes the device of its"
            " number, got 'cuda:7'"
        )


def test_three_processes_resume_to_the_bit(tmp_path: Path) -> None:
    work(3, "resume", tmp_path)
    found = [torch.load(tmp_path / f"process{rank}.pt", weights_only=True) for rank in range(3)]
    first = found[0]["whole"]
    assert first["backbone.1.running_mean"].any()
    for state in (process[name] for process in found for name in ("whole", "again", "inside")):
        assert [key for key in first if not torch.equal(first[key], state[key])] == []
    means = ("backbone.1.running_mean", "averaged.backbone.1.running_mean")
    assert not torch.equal(*(first[name] for name in means))
    for frozen in (process["frozen"] for process in found):
        assert all(torch.equal(frozen[name], UNEVEN) for name in means)
        name = "backbone.0.weight"  # its start is that of the other run, which has moved it
        assert torch.equal(frozen[name], frozen[f"averaged.{name}"])
        assert not torch.equal(frozen[name], first[name])
        assert not torch.equal(frozen["classifier.weight"], frozen["averaged.classifier.weight"])


def pair(data: Path, out: Path, *more: object) -> list[object]:
    losses = ["LOSS.NAMES", "('ce','triplet','center')", "LOSS.WEIGHTS", "(1,1,0.0005)"]
    settings = ["SOLVER.IMS_PER_BATCH", 8, "TEST.IMS_PER_BATCH", 20, "LOSS.TRIPLET.GATHER", True]
    return [*lfm(data, out), *NARROW, *losses, *settings, *more]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "pair"
    done = torchrun(2, tool("train.py"), *pair(data, out, "SOLVER.MAX_EPOCHS", 1))
    assert "warning" not in done.stderr.lower(), done.stderr
    return out


def test_one_process_logs_and_writes(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    files = {
        "config.yml",
        "last.pth",
        "last.1.pth",
        "best.pth",
        "metrics.jsonl",
        "train.log",
        "tensorboard",
    }
    assert names == {*files, "cache"}  # several processes share the decoded images of one file
    log = (trained / "train.log").read_text()
    assert "2 processes" in log
    assert log.count("epoch 1/1 done") == log.count("data set synthetic") == 1
    assert [row["epoch"] for row in rows(trained)] == [1]
    assert len(list((trained / "tensorboard").iterdir())) == 1
    assert not [key for key in weights(trained) if key.startswith("module.")]


def test_evaluation_is_the_same_to_the_bit(data: Path, trained: Path, tmp_path: Path) -> None:
    # 18 query images are one batch: the first process has none of them.
    settings = ["TEST.WEIGHT", trained / "last.pth", "TEST.SAVE_FEATURES", True]
    folders = [tmp_path / "one", tmp_path / "two"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in each process of the launcher: sums of others have other bits
    try:
        run("test", *pair(data, folders[0], *settings))
    finally:
        torch.set_num_threads(threads)
    torchrun(2, tool("test.py"), *pair(data, folders[1], *settings))
    one, two = (json.loads((folder / "metrics.json").read_text()) for folder in folders)
    # The hash depends on OUTPUT_DIR; the last two say how the test was started.
    own = {"seconds", "config_hash", "command", "environment"}
    assert {k: v for k, v in one.items() if k not in own} == {
        k: v for k, v in two.items() if k not in own
    }
    assert one["mAP"] == rows(trained)[-1]["mAP"]
    for name in ("features.npz", "ranking.npz"):
        left, right = (np.load(folder / name) for folder in folders)
        assert left.files == right.files
        assert all(np.array_equal(left[key], right[key]) for key in left.files)


def test_a_run_of_two_is_not_resumed_by_one(data: Path, trained: Path) -> None:
    before = (trained / "last.pth").read_bytes()
    done = run("train", *pair(data, trained, "SOLVER.MAX_EPOCHS", 2, "--resume"), code=2)
    assert "was trained by 2 processes, this is a run of 1" in errors(done)[0]
    assert (trained / "last.pth").read_bytes() == before


def test_a_broken_image_in_one_process_ends_all_with_its_name(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    home = tmp_path / "market1501"
    shutil.copytree(next(data.glob("synthetic-tiny-*")), home)
    broken = sorted((home / "bounding_box_test").glob("[0-9]*.jpg"))[-1]  # of the last process
    Image.new("RGB", (8, 16)).save(home / "query/0001_c1s1_000001_01.jpg")
    broken.write_bytes(b"no image")
    args = pair(tmp_path, tmp_path / "out", "DATASETS.NAMES", "market1501")
    done = torchrun(2, tool("test.py"), *args, "TEST.WEIGHT", trained / "last.pth", code=1)
    assert f"{broken.name}: cannot be read as an image" in errors(done)[0]
    assert len(errors(done)) == 1
    assert "process 1 ends" not in done.stderr


STUCK = """
import time
from reid.cli.main import guarded
from reid.utils import distributed
from reid.utils.errors import InputError
def main():
    if distributed.rank() == 1:
        raise InputError("one went wrong")
    time.sleep(500)
guarded(main)
"""


def test_a_process_that_waits_on_another_machine_ends_too() -> None:
    said, codes = together([[sys.executable, "-c", STUCK]] * 2)
    assert codes == [1, 2]
    assert said.splitlines() == ["process 0 ends: process 1 failed", "error: one went wrong"]


def test_machines_with_different_commands_are_told_so(data: Path, tmp_path: Path) -> None:
    rates = (0.1, 0.2)
    lines = [command("train.py", *pair(data, tmp_path, "SOLVER.BASE_LR", r)) for r in rates]
    said, codes = together(lines)
    assert sorted(codes) == [1, 2]
    assert said.count("error: ") == 1
    assert "the config: process 1 of 2 has another one than process 0" in said


def test_a_number_of_processes_without_torchrun_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="start several processes with torchrun"), session():
        pytest.fail("there is nobody to join")


def test_two_processes_embed_as_one(data: Path, tmp_path: Path) -> None:
    weight = write_checkpoint(tmp_path / "best.pth", data)
    people = next(data.glob("synthetic-tiny-seed0*"))
    more = ["DATALOADER.ON_ERROR", "skip", "IMPORTS", ROOT / "tests/small_pieces.py"]
    torchrun(2, tool("embed.py"), weight, people, "-o", tmp_path / "two.npz", *more)
    run("embed", weight, people, "-o", tmp_path / "one.npz")
    two, one = (np.load(tmp_path / f"{name}.npz") for name in ("two", "one"))
    assert two["paths"].tolist() == one["paths"].tolist() and len(one["paths"]) == 128
    np.testing.assert_allclose(two["feats"], one["feats"], atol=1e-5)
