"""Stores: the same pixels as PIL, changes noticed, never half a file, room asked for first."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid.data.cache import decode as cache
from reid.data.cache.decode import cache_in_memory, cache_on_disk
from reid.data.cache.file import MARK, rows_of
from reid.utils.errors import InputError

SIZE = (16, 8)


def paint(path: Path, color: int) -> None:
    pixels = np.random.default_rng(color).integers(0, 256, (20, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{i:04}_c1s1_000001_01.png" for i in range(7)]
    for i, path in enumerate(found):
        paint(path, i)
    return found


def by_hand(paths: list[Path]) -> np.ndarray:
    wanted = (SIZE[1], SIZE[0])
    return np.stack(
        [np.asarray(Image.open(path).resize(wanted, Image.Resampling.BILINEAR)) for path in paths]
    )


def on_disk(paths: list[Path], file: Path, free: int | None = None) -> np.ndarray:
    return cache_on_disk(paths, SIZE, 2, "train", file, free)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that were decoded; the decoding itself stays."""
    names: list[str] = []
    decode = cache.decode

    def noted(path: Path, size: tuple[int, int]) -> np.ndarray:
        names.append(path.name)
        return decode(path, size)

    monkeypatch.setattr(cache, "decode", noted)
    return names


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_what_pil_gives(paths: list[Path], tmp_path: Path, threads: int) -> None:
    expected = by_hand(paths)
    memory = cache_in_memory(paths, SIZE, threads, "train")
    assert memory.dtype == np.uint8
    assert np.array_equal(memory, expected)
    file = tmp_path / "cache" / "train.rows"
    assert np.array_equal(cache_on_disk(paths, SIZE, threads, "train", file), expected)
    assert [path.name for path in file.parent.iterdir() if not path.name.endswith(".lock")] == [
        "train.rows"
    ]


def test_a_second_start_decodes_nothing(
    paths: list[Path], tmp_path: Path, decoded: list[str]
) -> None:
    file = tmp_path / "train.rows"
    first = on_disk(paths, file)
    assert len(decoded) == len(paths)
    assert np.array_equal(on_disk(paths, file), first)
    assert len(decoded) == len(paths)


def test_a_changed_a_new_and_a_missing_image_are_noticed(
    paths: list[Path], tmp_path: Path, decoded: list[str]
) -> None:
    file = tmp_path / "train.rows"
    on_disk(paths, file)
    decoded.clear()
    old = os.stat(paths[2])
    paint(paths[2], 99)
    os.utime(paths[2], ns=(old.st_atime_ns, old.st_mtime_ns + 1))  # even by a nanosecond
    new = tmp_path / "9999_c1s1_000001_01.png"
    paint(new, 50)
    now = [new, *paths[3:], paths[2]]
    assert np.array_equal(on_disk(now, file), by_hand(now))
    assert sorted(decoded) == sorted([paths[2].name, new.name])


def test_a_change_of_bytes_at_the_same_time_is_noticed(paths: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "train.rows"
    on_disk(paths, file)
    old = os.stat(paths[0])
    Image.new("RGB", (9, 20), (1, 2, 3)).save(paths[0])
    os.utime(paths[0], ns=(old.st_atime_ns, old.st_mtime_ns))
    assert os.stat(paths[0]).st_size != old.st_size
    assert np.array_equal(on_disk(paths, file), by_hand(paths))


@pytest.mark.parametrize(
    "left", [slice(0), slice(5), slice(16 * 8 * 3 * 4), slice(-1), slice(-20), slice(100, None)]
)
def test_a_file_that_is_not_whole_is_made_anew(
    paths: list[Path], tmp_path: Path, left: slice
) -> None:
    file = tmp_path / "train.rows"
    on_disk(paths, file)
    whole = file.read_bytes()
    file.write_bytes(whole[left])
    assert rows_of(file, SIZE) == {}
    assert np.array_equal(on_disk(paths, file), by_hand(paths))
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "footer",
    [
        b"{}",
        b"[]",
        b"[" * 10**5,
        b"\xff\xfe",
        b'{"images": [1]}',
        b'{"images": [], "size": [16, 8]}',
        b'{"images": [["a", Infinity, 0]], "crc32": [0]}',
    ],
)
def test_a_footer_that_is_not_ours_is_made_anew(
    paths: list[Path], tmp_path: Path, footer: bytes
) -> None:
    file = tmp_path / "train.rows"
    file.write_bytes(footer + len(footer).to_bytes(8, "little") + MARK)
    assert np.array_equal(on_disk(paths, file), by_hand(paths))


def test_another_size_is_not_mistaken(paths: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "train.rows"
    on_disk(paths, file)
    assert cache_on_disk(paths, (8, 16), 1, "train", file).shape == (7, 8, 16, 3)


def test_writing_to_a_row_changes_no_file(paths: list[Path], tmp_path: Path) -> None:
    rows = on_disk(paths, tmp_path / "train.rows")
    rows[0][...] = 0
    assert np.array_equal(rows, by_hand(paths))
    for outside in (-1, 7):
        with pytest.raises(IndexError):
            rows[outside]


ROW = 16 * 8 * 3


@pytest.mark.parametrize("unix", [True, False])
def test_a_file_that_is_cut_off_while_in_use_ends_in_one_line(
    paths: list[Path], tmp_path: Path, unix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unix:
        monkeypatch.delattr(os, "preadv")
    file = tmp_path / "train.rows"
    rows = on_disk(paths, file)
    os.truncate(file, 3 * ROW + 10)
    assert np.array_equal(rows[2], by_hand(paths)[2])
    for gone in (3, 6):
        with pytest.raises(InputError, match=r"train\.rows: it was cut off .*; delete the"):
            rows[gone]
    assert np.array_equal(on_disk(paths, file), by_hand(paths))  # the next start


def test_a_damaged_row_is_noticed_and_named(
    paths: list[Path], tmp_path: Path, decoded: list[str]
) -> None:
    file = tmp_path / "train.rows"
    on_disk(paths, file)
    with file.open("r+b") as stream:
        stream.seek(4 * ROW + 100)
        byte = stream.read(1)[0]
        stream.seek(4 * ROW + 100)
        stream.write(bytes([byte ^ 1]))
    rows = on_disk(paths, file)
    assert [index for index in range(7) if not rows.intact(index)] == [4]
    assert np.array_equal(rows[3], by_hand(paths)[3])
    with pytest.raises(InputError, match=r"train\.rows: row 4 is not what was written; delete the"):
        rows[4]
    decoded.clear()
    assert np.array_equal(on_disk(paths[1:], file), by_hand(paths[1:]))  # written anew for others
    assert decoded == [paths[4].name]


def test_rows_decoded_under_other_rules_are_not_reused(
    paths: list[Path], tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "train.rows"
    on_disk(paths, file)
    decoded.clear()
    monkeypatch.setattr("reid.data.cache.file.RULES", 10**6)
    assert np.array_equal(on_disk(paths, file), by_hand(paths))
    assert len(decoded) == len(paths)


def test_a_broken_image_is_named_and_leaves_the_old_file(paths: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "train.rows"
    on_disk(paths, file)
    whole = file.read_bytes()
    paths[3].write_bytes(b"no image")
    with pytest.raises(InputError, match=r"0003_c1s1_000001_01\.png: cannot be read as an image"):
        on_disk(paths, file)
    with pytest.raises(InputError, match=r"0003_c1s1_000001_01\.png: cannot be read as an image"):
        cache_in_memory(paths, SIZE, 2, "train")
    assert file.read_bytes() == whole
    assert not list(tmp_path.glob(".*.tmp"))
    paths[3].unlink()
    with pytest.raises(InputError, match=r"0003_c1s1_000001_01\.png: cannot be read as an image"):
        on_disk(paths, file)


def test_what_does_not_fit_is_refused_before_anything_is_decoded(
    paths: list[Path], tmp_path: Path, decoded: list[str]
) -> None:
    needed = 7 * 16 * 8 * 3
    message = rf"7 images of train at 16x8 need 0\.0 MiB \({needed} bytes\) of memory.*disk or none"
    with pytest.raises(InputError, match=message):
        cache_in_memory(paths, SIZE, 1, "train", free=needed)  # a part has to stay free
    with pytest.raises(InputError, match=r"of disk, of which .*; keep them otherwise: none$"):
        on_disk(paths, tmp_path / "train.rows", free=needed)
    assert decoded == []
    assert not (tmp_path / "train.rows").exists()
    assert len(cache_in_memory(paths, SIZE, 1, "train", free=2 * needed)) == 7
    assert len(on_disk(paths, tmp_path / "train.rows", free=2 * needed)) == 7


def test_those_who_come_at_once_decode_once(
    paths: list[Path], tmp_path: Path, decoded: list[str]
) -> None:
    file, expected = tmp_path / "train.rows", by_hand(paths)
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: on_disk(paths, file), range(4)))
    assert all(np.array_equal(found, expected) for found in stores)
    assert sorted(decoded) == sorted(path.name for path in paths)
