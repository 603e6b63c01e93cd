"""What a result depends on besides its config: versions, device, threads, commit."""

import contextlib
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL
import torch

import reid
from reid.utils import distributed
from reid.utils.checks import check_choice
from reid.utils.errors import ArgumentError, InputError

_INSTRUCTIONS = (  # flag in /proc/cpuinfo, and the word for it
    ("avx2", "AVX2"),
    ("avx512f", "AVX-512"),
    ("avx512_vnni", "VNNI"),
    ("avx512_bf16", "bf16"),
    ("bf16", "bf16"),  # of ARM
    ("amx_tile", "AMX"),
)
_CPUINFO = Path("/proc/cpuinfo")
_DEVICES = "auto, cpu, cuda, or one CUDA device such as cuda:1"
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(device: str) -> torch.device:
    """Turns "auto" (CUDA if there is one), "cpu", "cuda" or "cuda:1" into a device.

    If several processes run on a machine, each of them gets the CUDA device of its number.

    Raises:
        ArgumentError: The text names no device, a device that is not supported, or one that is not
            there.
    """
    name = device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if distributed.active() and name.startswith("cuda"):
        name = _process_device(name)
    try:
        chosen = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError("device", f"must be {_DEVICES}, got '{name}'") from error
    if chosen.type not in ("cpu", "cuda"):
        raise ArgumentError("device", f"must be {_DEVICES}, got '{name}'")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ArgumentError(
            "device",
            f"must be a device that is there, got '{name}': torch sees"
            f" {torch.cuda.device_count()} CUDA devices; set it to cpu or auto, and start no more"
            " processes than devices",
        )
    return chosen


def _process_device(name: str) -> str:
    expected = f"cuda:{distributed.local_rank()}"
    if name not in ("cuda", expected):
        raise ArgumentError(
            "device",
            f"must be cuda or auto, since each of the {distributed.world_size()} processes takes"
            f" the device of its number, got '{name}'",
        )
    return expected


def choose_precision(name: str, device: torch.device) -> torch.dtype | None:
    """Returns the autocast dtype of "fp32" (None), "bf16", "fp16" or "auto".

    "auto" is bf16 where the device computes it in hardware: emulation is slower. Otherwise it is
    fp16 on CUDA, whose tensor cores have it, and fp32 on the CPU.

    Args:
        name: One of :data:`PRECISIONS`, or ``auto``.
        device: Device of the model.

    Raises:
        ArgumentError: The name is unknown.
    """
    check_choice("name", name, (*PRECISIONS, "auto"))
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    # No public query says whether the CPU multiplies bf16 natively; its flags do.
    flags = _cpu_flags()
    return torch.bfloat16 if {"avx512_bf16", "amx_bf16", "bf16"} & flags else None


def check_compiler(device: torch.device) -> None:
    """Checks that torch.compile finds a compiler for code on this device.

    Raises:
        InputError: There is none.
    """
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++", "cl"]
    if device.type == "cpu" and not any(shutil.which(name) for name in names if name):
        raise InputError(
            "compiling for a CPU needs a C++ compiler, and none is found; install g++, or name one"
            " in CXX"
        )


@contextlib.contextmanager
def deterministic(device: torch.device, enabled: bool = True) -> Iterator[None]:
    """Makes CUDA's operations give the same bits each time; puts the old settings back.

    On the CPU there is nothing to set: every operation of the training step is deterministic there
    for a fixed number of threads. An operation that has no deterministic form on CUDA warns.

    Args:
        device: Device of the model.
        enabled: False changes nothing.
    """
    if device.type != "cuda" or not enabled:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
    was = torch.are_deterministic_algorithms_enabled()
    was_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was, warn_only=was_warning)


def describe(device: torch.device) -> str:
    """Returns one line with what the last digits of a result depend on besides the code.

    Args:
        device: Device of the model.
    """
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else processor_name()
    return (
        f"reid {reid.__version__}, Python {platform.python_version()},"
        f" torch {torch.__version__}, numpy {np.__version__},"
        f" device {device} ({name}), {torch.get_num_threads()} threads"
        + (f", {distributed.world_size()} processes" if distributed.active() else "")
    )


def command_line() -> str:
    """Returns the command of this process, as it can be typed again in the same folder."""
    program, *arguments = sys.argv
    path = Path(program)
    if path.name == "reid" or (path.parent.name, path.name) == ("reid", "__main__.py"):
        return shlex.join(["reid", *arguments])
    return shlex.join(["python", program, *arguments])


def run_facts(device: torch.device, precision: torch.dtype | None) -> dict[str, str | int]:
    """Returns what the numbers of a run depend on besides config, code and data.

    Args:
        device: Device of the model.
        precision: Dtype of autocast; None is fp32.
    """
    cuda = device.type == "cuda"
    return {
        "torch": str(
            torch.__version__
        ),  # it is of a class of its own, which no checkpoint may hold
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if cuda else processor_name(),
        "precision": next(name for name, dtype in PRECISIONS.items() if dtype is precision),
    }


def processor_name() -> str:
    """Returns the model of the processor and the widest of its instructions that round otherwise.

    Such as ``AMD EPYC with AVX2`` or ``AMD EPYC with AVX-512, VNNI, bf16``: libraries choose their
    loops by them, and so does "auto" its precision. It is the kind of processor alone where the
    system does not say more.
    """
    flags = _cpu_flags()
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    found = [word for flag, word in _INSTRUCTIONS if flag in flags]
    if "AVX-512" in found:
        found.remove("AVX2")
    return f"{name} with {', '.join(found)}" if found else name


def _cpu_flags() -> set[str]:
    return set((_cpuinfo("flags") or _cpuinfo("Features")).split())


def _cpuinfo(key: str) -> str:
    """Returns the first value of a key in Linux's list of processors, or ""."""
    try:
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    except OSError:
        pass
    return ""
