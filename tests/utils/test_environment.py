"""What is said of the processor, and what is chosen by it."""

import platform
from pathlib import Path

import pytest
import torch

from reid.utils import environment
from reid.utils.environment import choose_precision, processor_name

AMD = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse2 avx2 {}\n\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd bf16\n\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name", "dtype"),
    [
        (AMD.format(""), "AMD EPYC with AVX2", None),
        (AMD.format("avx512f"), "AMD EPYC with AVX-512", None),
        (
            AMD.format("avx512f avx512_vnni avx512_bf16"),
            "AMD EPYC with AVX-512, VNNI, bf16",
            torch.bfloat16,
        ),
        (ARM, "aarch64 with bf16", torch.bfloat16),
        (None, "aarch64", None),
    ],
)
def test_a_processor_is_told_by_what_rounds_otherwise(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cpuinfo: str | None,
    name: str,
    dtype: torch.dtype | None,
) -> None:
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo)
    monkeypatch.setattr(environment, "_CPUINFO", file)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert processor_name() == name
    assert choose_precision("auto", torch.device("cpu")) is dtype
