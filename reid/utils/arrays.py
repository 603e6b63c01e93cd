"""Arrays from an npz that somebody hands in: sizes are checked before anything is inflated."""

import io
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reid.utils.errors import InputError, suggest
from reid.utils.memory import as_gib, free_memory

_HEAD = 4096  # bytes: numpy pads a header of plain numbers to 128
_KINDS = "biufcUS"  # bool, integers, floats, complex numbers, text
_DAMAGE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)
# Deflate makes at most 1032 bytes of one. Source: zlib's technical details, "Maximum Expansion
# and Compression".
_DEFLATE_MOST = 1032
# Features of images hardly shrink, and ids shrink to a tenth. What grows more than this and takes
# much memory was made to fill it.
_BOMB_RATIO = 100
_BOMB_BYTES = 2**28
_COPIES = 2  # of what is read: the arrays, and what is made of them
_LISTED = 12


def read_arrays(
    path: Path, keys: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Reads arrays of numbers or text, of any shape (...), from an npz.

    Nothing is unpickled. Sizes, as the directory of the archive and the header of each array
    announce them, must agree with each other and fit into the memory before anything is inflated.
    Each array is inflated once, and its checksum is compared.

    Args:
        path: The npz, from ``numpy.savez`` or ``numpy.savez_compressed``.
        keys: Names of the arrays to read, all of which must be there; None reads all there are.
        optional: Names of further arrays, which are read if they are there.

    Raises:
        InputError: The file is missing, damaged, too large, or holds something else. The message
            begins with the path.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path} does not exist or is not a file; name an npz file")
        if not zipfile.is_zipfile(path):
            raise InputError(f"{path} is not an npz file, or is cut off; write it with numpy.savez")
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")  # numpy's, on headers that Python 2 wrote
            return _read(path, archive, keys, optional)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path} does not fit into the memory") from error
    except _DAMAGE as error:
        text = str(error) or type(error).__name__
        raise InputError(f"{path} is damaged: {text}; write it again with numpy.savez") from error


def _read(
    path: Path, archive: zipfile.ZipFile, keys: Sequence[str] | None, optional: Sequence[str]
) -> dict[str, np.ndarray]:
    members = _members(path, archive)
    needed = list(members if keys is None else keys)
    chosen = {key: _member(path, members, key, needed) for key in needed}
    chosen |= {key: members[key] for key in optional if key in members}
    for key, info in chosen.items():
        _check_packing(f"{path}: array {shown(key)}", info)
    _check_room(path, list(chosen.values()))
    for key, info in chosen.items():
        with archive.open(info) as stream:
            _check_header(f"{path}: array {shown(key)}", stream.read(_HEAD), info.file_size)
    arrays = {}
    for key, info in chosen.items():
        with archive.open(info) as stream:
            arrays[key] = np.lib.format.read_array(stream, allow_pickle=False)
    return arrays


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Returns the members by the name of their array."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        if key in found:
            raise InputError(f"{path} holds {shown(key)} twice; write it again with numpy.savez")
        found[key] = info
    return found


def _member(
    path: Path, members: dict[str, zipfile.ZipInfo], key: str, needed: Sequence[str]
) -> zipfile.ZipInfo:
    if key in members:
        return members[key]
    names = [shown(name).strip("'") for name in sorted(members)]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    raise InputError(
        f"{path} has no array '{key}'{suggest(key, names[:_LISTED]) or ';'} it holds"
        f" {', '.join(names[:_LISTED]) or 'nothing'}{more}, and needs {', '.join(needed)}"
    )


def _check_packing(name: str, info: zipfile.ZipInfo) -> None:
    """Raises InputError if the member cannot have the size that the directory announces."""
    mend = "write the file again with numpy.savez"
    if info.flag_bits & 0x1:
        raise InputError(f"{name} is encrypted; {mend}")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{name} is packed by zip method {info.compress_type}; {mend}")
    packed, size = info.compress_size, info.file_size
    stored = info.compress_type == zipfile.ZIP_STORED
    if size > _DEFLATE_MOST * packed or (stored and size != packed):
        raise InputError(
            f"{name} cannot have {size} bytes, as is announced, in {packed} packed ones: the file"
            f" is damaged; {mend}"
        )


def _check_room(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raises InputError if the arrays do not fit into the memory, or were made to fill it."""
    size = sum(info.file_size for info in members)
    packed = sum(info.compress_size for info in members)
    if size > _BOMB_BYTES and size > _BOMB_RATIO * packed:
        raise InputError(
            f"{path} would inflate from {as_gib(packed)} to {as_gib(size)}, which no features or"
            " images do; if the arrays are right, write them with numpy.savez, uncompressed"
        )
    free = free_memory()
    if _COPIES * size > free:
        raise InputError(
            f"{path} holds {as_gib(size)} of arrays, which need {as_gib(_COPIES * size)} of memory;"
            f" {as_gib(free)} are free"
        )


def _check_header(name: str, head: bytes, size: int) -> None:
    """Raises InputError if the header is not that of plain values that fill the member exactly.

    Args:
        name: What the message calls the array.
        head: The first bytes of the member; numpy sees no more, whatever length is announced.
        size: Bytes of the whole member.
    """
    stream = io.BytesIO(head)
    # On a crafted header numpy's parser raises many kinds of errors, and nothing else is run here.
    try:
        shape, _, dtype = _parse(stream)
    except Exception as error:
        text = " ".join((str(error) or type(error).__name__).split())[:120]
        raise InputError(
            f"{name} is no array that numpy wrote ({_printable(text)}); write it with numpy.savez"
        ) from error
    if dtype.hasobject or dtype.kind not in _KINDS:
        raise InputError(f"{name} holds more than plain arrays of numbers: {dtype.kind} objects")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise InputError(f"{name} has the shape {_short(shape)}; lengths are at least 0")
    expected = stream.tell() + math.prod(shape) * dtype.itemsize
    if expected != size:
        raise InputError(
            f"{name} has {size} bytes, its shape {_short(shape)} of {dtype} needs {expected}: the"
            " file is damaged; write it again with numpy.savez"
        )


def _parse(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, "np.dtype[np.generic]"]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream, max_header_size=_HEAD)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream, max_header_size=_HEAD)
    raise ValueError(f"version {version}, which arrays of numbers do not need")


def shown(name: str) -> str:
    """Returns a name that came from a file, quoted, printable and short, for a message."""
    return f"'{_printable(name)[:60]}'"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _short(shape: object) -> str:
    return str(shape)[:80]
