"""Arrays from a file: what numpy wrote is read, and everything else is one clear line."""

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from reid.utils import arrays as module
from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError

GOOD = {
    "feats": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "pids": np.array([1, 2, 3]),
    "names": np.array(["a", "bc", "d"]),
}


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """An array file with the header as it is given, padded as numpy does."""
    text = header.encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def header(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


def write(path: Path, method: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_arrays(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text and len(text) < 600
    return text


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path: Path, save) -> None:
    more = {
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3)),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big_endian": np.arange(4, dtype=">i2"),
        "bool": np.array([True, False]),
        "complex": np.array([1j]),
        "large": np.arange(200_000),  # more than numpy reads at once
    }
    save(tmp_path / "a.npz", **GOOD, **more)
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == [*GOOD, *more]
    for key, values in {**GOOD, **more}.items():
        assert found[key].dtype == values.dtype and found[key].shape == values.shape
        np.testing.assert_array_equal(found[key], values)


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **GOOD, other=np.array([None]))
    assert list(read_arrays(tmp_path / "a.npz", ["pids"], ["names", "cameras"])) == [
        "pids",
        "names",
    ]
    with pytest.raises(InputError, match=r"no array 'pid'; did you mean 'pids'\?"):
        read_arrays(tmp_path / "a.npz", ["pid"])
    with pytest.raises(InputError, match="array 'other' holds more than plain arrays"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npy(header("(1000000000000, 8)")), "needs 32000000000"),
        (npy(header("(0, 1" + 30 * "0" + ")")), "damaged"),
        (npy(header("(-3, 4)"), bytes(48)), "at least 0"),
        (npy(header("(-3, -4)"), bytes(48)), "at least 0"),
        (npy(header("(True, 4)"), bytes(16)), "at least 0"),
        (npy(header("(3.0, 4)"), bytes(48)), "no array that numpy wrote"),
        (npy(header("(3, 4)"), bytes(47)), "the file is damaged"),
        (npy(header("(3, 4)"), bytes(49)), "the file is damaged"),
        (npy(header("(" + 100 * "1," + ")"), bytes(4)), "damaged"),
        (npy(header("(" * 900 + ")" * 900)), "no array that numpy wrote"),
        (npy(header("-" * 3000 + "1")), "no array that numpy wrote"),
        (npy(header("[" * 60000), version=(2, 0)), "no array that numpy wrote"),
        (npy(header("(1,)", "'|O'"), b"cos\nsystem\n."), "more than plain arrays"),
        (npy(header("(1,)", "[('a', '<f4')]"), bytes(4)), "more than plain arrays"),
        (npy(header("(1,)", "('<f4', (2,))"), bytes(8)), "more than plain arrays"),
        (npy(header("(1,)", "'<M8[s]'"), bytes(8)), "more than plain arrays"),
        (npy(header("(1,)", "()")), "no array that numpy wrote"),
        (npy(header("(1,)", "'f4, (2,'")), "no array that numpy wrote"),
        (npy(header("(1,)"), bytes(4), (3, 0)), "no array that numpy wrote"),
        (npy("{'descr': '<f4', 3: 4}"), "no array that numpy wrote"),
        (npy("__import__('os').mkdir('ran')"), "no array that numpy wrote"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "no array that numpy wrote"),
        (b"\x93NUM", "no array that numpy wrote"),
        (b"GIF89a", "no array that numpy wrote"),
        (b"", "no array that numpy wrote"),
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_a_header_may_not_say(tmp_path: Path, content: bytes, says: str, method: int) -> None:
    path = write(tmp_path / "a.npz", method, good=npy(header("(1,)"), bytes(4)), x=content)
    assert says in message(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, monkeypatch) -> None:
    """10 MiB of zeros in 10 KiB stand for 2.4 GB in 2.3 MB: only the threshold differs."""
    zeros = np.zeros(10 * 2**20, np.uint8)
    np.savez_compressed(tmp_path / "bomb.npz", feats=zeros)
    assert (tmp_path / "bomb.npz").stat().st_size < 20_000
    assert len(read_arrays(tmp_path / "bomb.npz")["feats"]) == len(zeros), "small ones may be zero"
    monkeypatch.setattr(module, "_BOMB_BYTES", 2**20)
    del zeros
    tracemalloc.start()
    assert "would inflate from 0.0 MiB to 10.0 MiB" in message(tmp_path / "bomb.npz")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


def test_a_bomb_in_the_length_of_a_header_is_refused(tmp_path: Path) -> None:
    content = npy(header("(1,)").ljust(8 * 2**20), bytes(4), (2, 0))
    path = write(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, x=content)
    tracemalloc.start()
    assert "no array that numpy wrote" in message(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


def test_what_does_not_fit_into_the_memory_is_refused(tmp_path: Path, monkeypatch) -> None:
    np.savez(tmp_path / "a.npz", feats=np.ones((1000, 250), np.float32))  # 1 MB, copied once
    monkeypatch.setattr(module, "free_memory", lambda: 1_500_000)
    assert "1.0 MiB of arrays, which need 1.9 MiB of memory; 1.4 MiB are free" in message(
        tmp_path / "a.npz"
    )
    monkeypatch.setattr(module, "free_memory", lambda: 2_500_000)
    assert read_arrays(tmp_path / "a.npz")["feats"].shape == (1000, 250)


def test_a_directory_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", x=npy(header("(3, 4)"), bytes(48)))
    whole = bytearray(path.read_bytes())
    place = whole.index(b"PK\x01\x02") + 24  # the size after inflating, in the directory
    whole[place : place + 4] = struct.pack("<I", 2**31)
    path.write_bytes(whole)
    assert "cannot have 2147483648 bytes" in message(path)


@pytest.mark.parametrize(
    ("place", "value", "says"), [(8, 1, "is encrypted"), (10, 12, "packed by zip method 12")]
)
def test_other_kinds_of_zip_are_named(tmp_path: Path, place: int, value: int, says: str) -> None:
    path = write(tmp_path / "a.npz", x=npy(header("(3, 4)"), bytes(48)))
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"PK\x01\x02") + place] = value
    path.write_bytes(whole)
    assert says in message(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_numpy_does_not_use_is_refused(tmp_path: Path, method: int) -> None:
    path = write(tmp_path / "a.npz", method, x=npy(header("(3, 4)"), bytes(48)))
    assert f"packed by zip method {method}" in message(path)


def test_names_twice_and_names_that_cannot_be_printed(tmp_path: Path) -> None:
    content = npy(header("(1,)"), bytes(4))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
        archive.writestr("x", content)
    assert "holds 'x' twice" in message(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("\x1b[31m\n.npy", b"")
    assert "array '?[31m?'" in message(tmp_path / "b.npz")


def test_large_archives_of_zip64_are_read(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w") as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array(file, GOOD["feats"])
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz")["x"], GOOD["feats"])


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    assert "does not exist or is not a file" in message(tmp_path)
    assert "does not exist" in message(tmp_path / "gone")
    (tmp_path / "empty").touch()
    assert "not an npz" in message(tmp_path / "empty")
    with pytest.raises(InputError, match="name too long"):
        read_arrays(tmp_path / ("x" * 300))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_spoiled_file_gives_the_same_values_or_one_line(tmp_path: Path, save) -> None:
    """Flipped bits, changed bytes, cut and doubled ends: 400 files each."""
    buffer = io.BytesIO()
    save(buffer, **GOOD)
    whole = buffer.getvalue()
    rng = np.random.default_rng(0)
    path = tmp_path / "a.npz"
    read, lines = 0, []
    for number in range(400):
        spoiled = bytearray(whole)
        kind = number % 4
        if kind == 3:
            cut = int(rng.integers(len(whole)))
            spoiled = spoiled[:cut] if number % 8 == 3 else spoiled + spoiled[cut:]
        for place in rng.integers(len(spoiled), size=(1, 1, 4, 0)[kind]) if spoiled else ():
            spoiled[place] ^= 1 << int(rng.integers(8)) if kind == 0 else int(rng.integers(1, 256))
        path.write_bytes(spoiled)
        try:
            found = read_arrays(path, list(GOOD))
        except InputError as error:
            lines.append(str(error))
            continue
        read += 1
        for key, values in GOOD.items():
            assert found[key].dtype == values.dtype
            np.testing.assert_array_equal(found[key], values)
    assert read > 20 and len(lines) > 200
    assert all(line.startswith(str(path)) and "\n" not in line for line in lines)
