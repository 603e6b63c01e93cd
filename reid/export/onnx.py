"""A model as an ONNX file, and such a file as a model; an extra: ``pip install "reid-lfm[onnx]"``.

A file is run by ONNX Runtime. It holds a graph of known operators and numbers, and loading it runs
no code: libraries of own operators are never registered.
"""

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reid.export.pixels import INPUT, OUTPUT, PixelModel
from reid.export.program import cannot_export, trace
from reid.utils.errors import InputError

ENDING = ".onnx"
INSTALL = 'pip install "reid-lfm[onnx]"'
NEEDED = ("onnx", "onnxruntime", "onnxscript")


def check_installed(names: Iterable[str] = NEEDED) -> None:
    """Raises InputError with the install line unless the packages are there.

    Args:
        names: Names of the packages.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(f"ONNX needs the package {name}, which is not installed: {INSTALL}")


def save_onnx(model: PixelModel, path: Path, facts: Mapping[str, str]) -> None:
    """Writes a model as ONNX: "pixels" (N, H, W, 3) uint8 to "feats" (N, D) float32, any N.

    Args:
        model: The model.
        path: The file.
        facts: Texts that the file carries along, such as "fingerprint".

    Raises:
        InputError: A package is missing, or the network has no form in ONNX.
    """
    check_installed()
    program = trace(model)
    try:
        with _quiet():
            made = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT]
            )
            assert made is not None
            made.model.metadata_props.update(facts)
            made.save(path, external_data=False)
    except ImportError as error:
        raise InputError(
            f"the package onnxscript does not fit torch {torch.__version__} ({error}):"
            " pip install --upgrade onnxscript"
        ) from error
    except Exception as error:  # an operator without a form in ONNX, in many kinds of errors
        raise InputError(cannot_export(error)) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what the exporter says of its own parts."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class OnnxFeatures(nn.Module):
    """Runs an ONNX file of ours on the CPU.

    Args:
        path: The file.
        threads: Number of threads; None takes as many as torch has.

    Raises:
        InputError: The package onnxruntime is missing, or the file is damaged or of another kind.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        super().__init__()
        check_installed(["onnxruntime"])
        import onnxruntime

        if not path.is_file():
            raise InputError(f"{path} is no file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.log_severity_level = 3  # errors
        try:
            self.session = onnxruntime.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of a class of its own for each kind of damage
            first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise InputError(f"{path} is no ONNX file that can be run: {first}") from error
        given = [(i.name, i.type, len(i.shape), i.shape[-1]) for i in self.session.get_inputs()]
        if given != [(INPUT, "tensor(uint8)", 4, 3)]:
            raise InputError(f"{path} is no file of reid export: its input is {given}")
        _, height, width, _ = self.session.get_inputs()[0].shape
        self.size: tuple[int, int] = (int(height), int(width))

    @property
    def facts(self) -> dict[str, str]:
        """Texts that the file carries along."""
        return dict(self.session.get_modelmeta().custom_metadata_map)

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps (N, H, W, 3) uint8 to (N, D) float32."""
        (feats,) = self.session.run([OUTPUT], {INPUT: pixels.cpu().numpy()})
        return torch.from_numpy(feats)


def save_int8(source: Path, path: Path, batches: Iterable[Tensor]) -> None:
    """Writes an ONNX file whose convolutions and products are computed in 8 bits.

    Scales are those of the ranges that activations have on some images (static quantization of
    ONNX Runtime, weights by channel).

    Args:
        source: The file in fp32.
        path: The file that is written.
        batches: Images, (N, H, W, 3) uint8.
    """
    check_installed()
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            pixels = next(self.batches, None)
            return None if pixels is None else {INPUT: pixels.numpy()}

    ready = path.with_name(f"{path.name}.ready")
    try:
        with _quiet():
            quantization.quant_pre_process(
                os.fspath(source), os.fspath(ready), skip_symbolic_shape=True
            )
            kinds: dict[str, Any] = {
                "activation_type": quantization.QuantType.QUInt8,
                "weight_type": quantization.QuantType.QInt8,
            }
            quantization.quantize_static(
                os.fspath(ready),
                os.fspath(path),
                Reader(),
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                per_channel=True,
                **kinds,
            )
    finally:
        ready.unlink(missing_ok=True)
