"""Person re-identification: train, evaluate, attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from reid.embedding import FeatureExtractor

__version__ = "0.1.0"


def load(
    path: str | os.PathLike[str], device: str = "auto", overrides: Sequence[object] = ()
) -> FeatureExtractor:
    """Makes a model of a checkpoint alone, which carries its config; ``model.embed(images)``.

    Args:
        path: A checkpoint (``.pth``, ``.safetensors``), a file of another project that ``reid
            convert`` knows, or the folder of a run, of which best.pth is taken, else last.pth.
        device: ``auto`` (CUDA, else Apple's MPS, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or
            ``mps``.
        overrides: ``["TEST.FLIP", True, ...]``: settings that go before those in the checkpoint.

    Raises:
        InputError: The file is missing, damaged or of no known network; a setting is wrong.
    """
    from pathlib import Path

    from reid.builders.extractor import load_extractor

    return load_extractor(Path(path), device, [str(part) for part in overrides])
