"""Checkpoints: whole or not there, and never run."""

import os
import pickle
import resource
import signal
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from reid.engine import checkpoint as ckpt
from reid.utils.errors import InputError
from reid.utils.logs import MetricsLog, write_whole
from reid.utils.memory import free_disk

BEST = {"mAP": 0.5, "epoch": 3}


def saved(path: Path, model: nn.Module) -> Path:
    ckpt.save(path, model, epoch=3, config="SEED: 0\n", pids=[2, 7], state={"best": BEST})
    return path


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    state = ckpt.load(saved(tmp_path / "last.pth", model))
    assert (state["epoch"], state["pids"], state["best"]) == (3, [2, 7], BEST)
    other = nn.Linear(2, 3)
    ckpt.load_model(other, state, tmp_path / "last.pth")
    assert torch.equal(other.weight, model.weight)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = saved(tmp_path / "last.pth", nn.Linear(2, 3))
    before = path.read_bytes()

    def half(file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, half)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pth"]


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(Bomb.target),)

    target = Path()


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    Bomb.target = tmp_path / "ran"
    torch.save({"format": 1, "model": Bomb()}, tmp_path / "bomb.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pth", "raw.pth"):
        with pytest.raises(InputError, match="is refused"):
            ckpt.load(tmp_path / name)
    assert not Bomb.target.exists()


def test_damaged_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "last.pth", nn.Linear(2, 3))
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"cut\.pth is"):
        ckpt.load(tmp_path / "cut.pth")
    with pytest.raises(InputError, match=r"nowhere\.pth does not"):
        ckpt.load(tmp_path / "nowhere.pth")
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "plain.pth")
    with pytest.raises(InputError, match="weights of a backbone are loaded as pretrained weights"):
        ckpt.load(tmp_path / "plain.pth")


def test_weights_that_do_not_fit_name_the_first_key(tmp_path: Path) -> None:
    state = ckpt.load(saved(tmp_path / "last.pth", nn.Linear(2, 3)))
    with pytest.raises(InputError, match=r"weight is \(3, 2\), the model of this config has"):
        ckpt.load_model(nn.Linear(5, 3), state, tmp_path)
    with pytest.raises(InputError, match="model of this config lacks bias"):
        ckpt.load_model(nn.Linear(2, 3, bias=False), state, tmp_path)
    with pytest.raises(InputError, match=r"checkpoint lacks 0\.bias"):
        ckpt.load_model(nn.Sequential(nn.Linear(2, 3)), state, tmp_path)


def test_a_resumed_metrics_log_drops_what_will_be_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for epoch in (1, 2, 3):
        log.write({"epoch": epoch})
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')  # a killed run
    MetricsLog(path, last_epoch=2).write({"epoch": 3, "again": True})
    assert path.read_text().splitlines() == [
        '{"epoch": 1}',
        '{"epoch": 2}',
        '{"epoch": 3, "again": true}',
    ]


def test_a_row_that_could_not_be_written_comes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "run/metrics.jsonl"
    path.parent.mkdir()
    log = MetricsLog(path)
    log.write({"epoch": 1})
    path.parent.rename(tmp_path / "moved")
    path.parent.write_text("a file stands where the folder should be")
    with pytest.raises(OSError, match=r"exists|directory"):
        log.write({"epoch": 2})
    path.parent.unlink()
    (tmp_path / "moved").rename(path.parent)
    log.write({"epoch": 3})
    assert path.read_text().splitlines() == ['{"epoch": 1}', '{"epoch": 2}', '{"epoch": 3}']


def same(left: object, right: object) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return torch.equal(left, right)
    return left == right


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path / "last.pth", nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
    whole, expected = path.read_bytes(), ckpt.load(path)
    flipped, loaded = tmp_path / "flipped.pth", 0
    messages: set[str] = set()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        flipped.write_bytes(damaged)
        try:
            content = ckpt.load(flipped)
        except InputError as error:
            messages.add(str(error))
            continue
        # A flip in the mark of the checksum: the records' own checksums are looked at.
        assert same(content, expected), position
        loaded += 1
    assert loaded < 0.01 * len(whole)
    assert all(str(flipped) in text and "\n" not in text for text in messages)


def test_crafted_contents_are_one_line(tmp_path: Path) -> None:
    good = ckpt.load(saved(tmp_path / "last.pth", nn.Linear(2, 3)))
    crafted = tmp_path / "crafted.pth"
    changes: list[dict[str, object]] = [
        {"epoch": "3"}, {"epoch": -1}, {"epoch": True}, {"config": ["SEED"]}, {"config": None},
        {"pids": {}}, {"pids": ["2"]}, {"model": [1]}, {"model": {"a": 1}}, {"model": {1: 2}},
        {"commit": 5}, {"format": 2}, {"format": None},
    ]  # fmt: skip
    for content in [[], 5, "text", *({**good, **change} for change in changes)]:
        torch.save(content, crafted)
        with pytest.raises(InputError, match=r"crafted\.pth") as error:
            ckpt.load(crafted)
        assert "\n" not in str(error.value)
    with zipfile.ZipFile(crafted, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", bytes(10**7))
    assert crafted.stat().st_size < 10**5
    with pytest.raises(InputError, match="compressed"):
        ckpt.load(crafted)
    with pytest.raises(InputError, match=r"is a folder; name .*last\.pth"):
        ckpt.load(tmp_path)


def test_a_full_disk_is_an_error_of_the_system_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # A limit on the size of files stops the write in the middle, as a full disk does.
    path = saved(tmp_path / "last.pth", nn.Linear(2, 3))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, limits[1]))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match="File too large"):
            saved(path, nn.Linear(200, 300))
    finally:
        signal.signal(signal.SIGXFSZ, handler)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pth"]
    assert capfd.readouterr() == ("", "")


def test_only_files_of_the_run_itself_are_kept_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "last.pth"
    for name in ("last.60.pth", "last.old.pth", "best.1.pth"):
        saved(tmp_path / name, nn.Linear(1, 1))
    for keep in (3, 3, 3, 3, 3, 1):
        ckpt.save(path, nn.Linear(1, 1), 1, "SEED: 0\n", [1], {}, keep=keep)
    assert ckpt.earlier(path) == [tmp_path / "last.1.pth"]
    saved(tmp_path / "best.pth", nn.Linear(1, 1))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *("best.1.pth", "best.pth", "last.1.pth", "last.60.pth", "last.old.pth", "last.pth")
    ]
    # A run was killed between two renamings.
    (tmp_path / "last.1.pth").rename(tmp_path / "last.2.pth")
    assert ckpt.earlier(path) == [tmp_path / "last.2.pth"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best", True),
        ("best", {"epoch": 3}),
        ("best", {"mAP": "x", "epoch": 3}),
        ("facts", [1]),
        ("facts", {"data": 5}),
        ("facts", {"changes": 5}),
        ("code", {"imports": 5}),
        ("row", 3),
        ("row", {"epoch": 1, "lr": "x"}),
        ("inside", "x"),
        ("optimizer", None),
        ("world_size", "2"),
    ],
)
def test_an_entry_of_another_kind_is_named(tmp_path: Path, name: str, value: object) -> None:
    path = saved(tmp_path / "last.pth", nn.Linear(2, 3))
    state = {**ckpt.load(path), name: value}
    torch.save(state, path)
    with pytest.raises(InputError, match=f"is damaged: '{name}' is missing or of another kind"):
        ckpt.load(path)


def test_a_result_finds_its_place_where_the_folder_has_vanished(tmp_path: Path) -> None:
    path = tmp_path / "run/deep/metrics.json"
    write_whole(path, lambda file: file.write(b"{}"))
    assert path.read_bytes() == b"{}" and len(list(path.parent.iterdir())) == 1
    assert abs(free_disk(tmp_path / "no/where") - free_disk(tmp_path)) < 10**9
