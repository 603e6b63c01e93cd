"""Image files: five decoders, regular files only, every kind of pixel as it is meant."""

import ast
import contextlib
import io
import os
import re
import socket
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CalledProcessError

import numpy as np
import PIL
import pytest
from PIL import Image, PngImagePlugin

from reid.data import images
from reid.data.images import FORMATS, ImageError, as_rgb, decode, opened, read_rgb

PACKAGE = Path(images.__file__).parents[1]
NAME = "0001_c1s1_000001_01.jpg"


def noise(height: int = 12, width: int = 7, channels: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def in_every_format() -> dict[str, bytes]:
    """The same picture in each format that this PIL can write; the names come from its table."""
    Image.init()
    found = {}
    for kind in sorted(Image.SAVE):
        for mode in ("RGB", "L", "1", "F", "P"):
            try:
                found[kind] = encoded(Image.fromarray(noise(16, 16)).convert(mode), kind)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
            break
    return found


# ---- which decoders run, on which files ----


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_other_decoder_is_asked_whatever_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = in_every_format()
    assert {"EPS", "GIF", "PPM", "TGA", *FORMATS} <= set(files)
    foreign = set(Image.OPEN) - set(FORMATS)
    asked: list[str] = []

    def noted(kind: str) -> tuple[Callable[..., object], Callable[..., bool]]:
        return (lambda *_: asked.append(kind), lambda _: asked.append(kind) or True)  # type: ignore[func-returns-value]

    for kind in foreign:
        monkeypatch.setitem(Image.OPEN, kind, noted(kind))
    ours = {*FORMATS, "MPO"}  # several JPEG pictures in one file; the first is read
    path = tmp_path / NAME
    for kind, content in files.items():
        path.write_bytes(content)
        if kind in ours:
            assert read_rgb(path).size == (16, 16)
            continue
        with pytest.raises(ImageError, match=rf"^{path}: cannot be read as an image \(it is empty"):
            read_rgb(path)
    assert asked == []


def test_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker, program = tmp_path / "started", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / NAME
    path.write_bytes(encoded(Image.fromarray(noise()), "EPS"))
    with pytest.raises(ImageError, match=rf"{NAME}: cannot be read as an image"):
        decode(path, (8, 4))
    assert not marker.exists()
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None, raising=False)  # looked for once
    with contextlib.suppress(OSError, CalledProcessError), Image.open(path) as image:
        image.load()
    assert marker.exists()  # PIL alone does start it, so the test above can fail


def test_every_place_that_opens_images_names_its_formats() -> None:
    calls = [
        node
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]
    assert len(calls) >= 3
    assert all("formats" in {keyword.arg for keyword in call.keywords} for call in calls)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
def test_what_is_no_regular_file_is_named_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
    os.symlink("/dev/zero", tmp_path / "device.jpg")
    os.symlink("loop.jpg", tmp_path / "loop.jpg")
    os.symlink("nowhere.jpg", tmp_path / "broken.jpg")
    says = {
        "pipe": r"is a pipe \(FIFO\), not a regular file",
        "folder": "is a folder, not a regular file",
        "socket": "is a socket, not a regular file",
        "device": "is a device, not a regular file",
        "loop": r"\(Too many levels of symbolic links\)",
        "broken": r"\(No such file or directory\)",
    }
    for name, words in says.items():
        with pytest.raises(ImageError, match=rf"{name}\.jpg: .*{words}"):
            decode(tmp_path / f"{name}.jpg", (8, 4))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
def test_a_pipe_that_takes_the_place_of_a_file_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / NAME)
    monkeypatch.setattr(stat, "S_ISREG", lambda mode: True)
    with pytest.raises(ImageError, match=NAME):
        decode(tmp_path / NAME, (8, 4))


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.png")
    os.symlink("a.png", tmp_path / NAME)
    assert np.array_equal(read_rgb(tmp_path / NAME), noise())


# ---- broken and malicious files ----


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8193, 10_000, 20_000])  # PIL: silent, a warning, an exception
def test_too_many_pixels_are_refused_in_our_words(tmp_path: Path, side: int) -> None:
    (tmp_path / NAME).write_bytes(png(side, side, chunk(b"IDAT", zlib.compress(b"\0" * 1000))))
    with pytest.raises(ImageError, match=rf"^{tmp_path / NAME}: .*pixels"):
        read_rgb(tmp_path / NAME)


def test_the_limit_itself_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise(12, 7)).save(tmp_path / "a.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 84)
    assert read_rgb(tmp_path / "a.png").size == (7, 12)
    monkeypatch.setattr(images, "MAX_PIXELS", 83)
    with pytest.raises(ImageError, match=r"a\.png: 7 x 12 pixels are more than 83; no larger"):
        read_rgb(tmp_path / "a.png")


def test_a_text_chunk_that_inflates_is_refused(tmp_path: Path) -> None:
    bomb = chunk(b"zTXt", b"note\0\0" + zlib.compress(b"a" * 4 * PngImagePlugin.MAX_TEXT_CHUNK))
    (tmp_path / NAME).write_bytes(png(4, 4, bomb))
    with pytest.raises(ImageError, match=rf"^{tmp_path / NAME}: cannot be read .*[Tt]oo [Ll]arge"):
        read_rgb(tmp_path / NAME)


@pytest.mark.parametrize(
    "error", [struct.error("a\nb"), SyntaxError(""), OverflowError("o"), MemoryError(), KeyError(3)]
)
def test_whatever_a_decoder_raises_is_one_line_that_names_the_file(
    tmp_path: Path, error: Exception
) -> None:
    Image.fromarray(noise()).save(tmp_path / "a.png")
    line = r"^[^\n]*a\.png: cannot be read as an image \([^\n]+\)$"
    with pytest.raises(ImageError, match=line), opened(tmp_path / "a.png"):
        raise error


@pytest.mark.filterwarnings("ignore")  # PIL tells of odd tags, and goes on
@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_read_or_named(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng([3, FORMATS.index(kind)])
    whole = encoded(Image.fromarray(noise(24, 16)), kind)
    path = tmp_path / NAME
    refused: list[str] = []
    for case in range(80):
        data = bytearray(whole)
        # Half of the flips hit the first 64 bytes, where the sizes and offsets are.
        for _ in range(int(rng.integers(1, 5))):
            end = min(64, len(data)) if rng.integers(2) else len(data)
            data[rng.integers(end)] ^= 1 << rng.integers(8)
        if case % 4 == 0:
            del data[rng.integers(len(data)) :]
        path.write_bytes(data)
        try:
            assert decode(path, (8, 4)).shape == (8, 4, 3)
        except ImageError as error:
            refused.append(str(error))
    assert len(refused) >= 20  # of the 20 that were cut off alone most cannot be read
    assert all(re.fullmatch(rf"{path}: [^\n]+", line) for line in refused)


# ---- what the pixels become ----


def test_an_ordinary_picture_keeps_its_bits(tmp_path: Path) -> None:
    Image.fromarray(noise(30, 17)).save(tmp_path / NAME)
    with Image.open(tmp_path / NAME) as image:
        own = np.asarray(image.convert("RGB"))
        resized = np.asarray(image.convert("RGB").resize((9, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(read_rgb(tmp_path / NAME), own)
    assert np.array_equal(decode(tmp_path / NAME, (20, 9)), resized)


@contextlib.contextmanager
def writes_such_files() -> Iterator[None]:
    """Skips the test where this version of Pillow cannot make its file."""
    try:
        yield
    except OSError as error:
        pytest.skip(f"Pillow {PIL.__version__}: {error}")


def gray(levels: list[int]) -> list[list[list[int]]]:
    return [[[level] * 3 for level in levels]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_and_not_clipped(tmp_path: Path, kind: str, order: str) -> None:
    values = np.array([[0, 128, 129, 257, 32_768, 65_406, 65_407, 65_535]], f"{order}u2")
    path = tmp_path / f"a.{kind.lower()}"
    with writes_such_files():
        path.write_bytes(encoded(Image.fromarray(values), kind))
    assert np.asarray(read_rgb(path)).tolist() == gray([0, 0, 1, 1, 128, 254, 255, 255])


def test_16_and_8_bits_of_one_picture_are_the_same(tmp_path: Path) -> None:
    levels = noise(9, 5, 1)[..., 0]
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "a16.png")
    Image.fromarray(levels).save(tmp_path / "a8.png")
    assert np.array_equal(read_rgb(tmp_path / "a16.png"), read_rgb(tmp_path / "a8.png"))


def test_32_bit_integers_are_taken_as_16_bit_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(np.array([[0, 257, 65_535]], np.int32)).save(path)
    assert np.asarray(read_rgb(path)).tolist() == gray([0, 1, 255])
    for bad in (-1, 65_536):
        Image.fromarray(np.array([[0, 5, bad]], np.int32)).save(path)
        with pytest.raises(ImageError, match=r"a\.tiff: .*whole numbers .* to be from 0 to 65535"):
            read_rgb(path)


def test_floating_point_is_scaled_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(np.array([[0, 0.25, 0.5019608, 1]], np.float32)).save(path)
    assert np.asarray(read_rgb(path)).tolist() == gray([0, 64, 128, 255])
    for bad in (-0.1, 1.5, 255.0, np.nan, np.inf):
        Image.fromarray(np.array([[0, 0.5, bad]], np.float32)).save(path)
        with pytest.raises(ImageError, match=r"a\.tiff: .*floating-point .* to be from 0 to 1\)"):
            read_rgb(path)


# The stored pixels that show ``upright`` once a viewer has followed the tag (EXIF 2.32, 4.6.5.A):
# the sides that row 0 and column 0 of the file are on, by value of the tag.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,  # top, left
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.swapaxes(0, 1),  # left, top
    6: lambda a: a[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda a: a[::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("tag", STORED)
def test_people_stand_upright(tmp_path: Path, kind: str, tag: int) -> None:
    upright = np.zeros((24, 16, 3), np.uint8)
    upright[:8, :8] = 255  # the corner at the top left is white, the rest black
    exif = Image.Exif()
    exif[0x0112] = tag
    options: dict[str, object] = {"exif": exif} if kind != "WEBP" else {"exif": exif, "lossless": 1}
    stored = Image.fromarray(np.ascontiguousarray(STORED[tag](upright)))
    path = tmp_path / NAME
    path.write_bytes(encoded(stored, kind, **options))
    found = np.asarray(read_rgb(path))
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).max() <= (2 if kind == "JPEG" else 0)


def test_damaged_exif_data_does_not_cost_the_picture(tmp_path: Path) -> None:
    image = Image.fromarray(noise())
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", b"\0" * 7):
        (tmp_path / "a.png").write_bytes(encoded(image, "PNG", exif=exif))
        assert np.array_equal(read_rgb(tmp_path / "a.png"), noise())
    exif = Image.Exif()
    exif[0x0112] = 77  # no such orientation
    (tmp_path / "a.png").write_bytes(encoded(image, "PNG", exif=exif))
    assert np.array_equal(read_rgb(tmp_path / "a.png"), noise())


def test_a_hidden_colour_does_not_show(tmp_path: Path) -> None:
    rgba = noise(4, 4, 4)
    rgba[0, :, 3] = 0
    rgba[1, :, 3] = 255
    for kind in ("PNG", "TIFF"):
        path = tmp_path / f"a.{kind.lower()}"
        path.write_bytes(encoded(Image.fromarray(rgba), kind))
        found = np.asarray(read_rgb(path)).astype(int)
        assert (found[0] == 0).all()
        assert np.array_equal(found[1], rgba[1, :, :3])
        expected = rgba[2:, :, :3] * (rgba[2:, :, 3:] / 255)  # over black
        assert np.abs(found[2:] - expected).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "P", "L", "RGB", "1", "I;16"])
def test_transparency_of_other_kinds_becomes_black_too(tmp_path: Path, mode: str) -> None:
    """Each picture is white, and its left half is transparent (as a colour or by alpha)."""
    path = tmp_path / "a.png"
    if mode == "LA":
        alpha = Image.new("L", (8, 4), 255)
        alpha.paste(0, (0, 0, 4, 4))
        Image.merge("LA", [Image.new("L", (8, 4), 255), alpha]).save(path)
    elif mode == "I;16":
        values = np.full((4, 8), 65_535, np.uint16)
        values[:, :4] = 65_000
        with writes_such_files():
            Image.fromarray(values).save(path, transparency=65_000)
    elif mode == "P":
        image = Image.new("P", (8, 4), 1)
        image.putpalette([200, 100, 50, 255, 255, 255])
        image.paste(0, (0, 0, 4, 4))
        image.save(path, transparency=0)
    else:
        hidden = {"L": 200, "RGB": (200, 100, 50), "1": 0}[mode]
        image = Image.new(mode, (8, 4), {"L": 255, "RGB": (255, 255, 255), "1": 1}[mode])
        image.paste(hidden, (0, 0, 4, 4))
        image.save(path, transparency=hidden)
    with Image.open(path) as stored:
        assert "transparency" in stored.info or stored.mode == "LA"
    found = np.asarray(read_rgb(path))
    assert (found[:, :4] == 0).all()
    assert (found[:, 4:] == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "PA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"])
def test_other_kinds_are_converted(mode: str) -> None:
    white = Image.new("RGB", (4, 3), (255, 255, 255))
    image = Image.new("LAB", (4, 3), (255, 128, 128)) if mode == "LAB" else white.convert(mode)
    found = np.asarray(as_rgb(image)).astype(int)
    assert found.shape == (3, 4, 3)
    assert found.min() >= 253


def test_an_animation_gives_its_first_picture(tmp_path: Path) -> None:
    first, second = Image.fromarray(noise(seed=1)), Image.fromarray(noise(seed=2))
    for kind in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(first, kind, save_all=True, append_images=[second], **options)
        (tmp_path / NAME).write_bytes(data)
        assert np.array_equal(read_rgb(tmp_path / NAME), noise(seed=1))
