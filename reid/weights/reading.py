"""Any file with weights as tensors by name; nothing in a file is ever run."""

import contextlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from reid.utils.archives import damage_of, is_archive
from reid.utils.errors import ArgumentError, InputError

INSTALL = 'pip install "reid-lfm[safetensors]"'
HEADER = "reid"  # in the header of a safetensors file of ours: the rest of a checkpoint, as JSON
_OWN = {"format", "config", "pids"}  # entries of a checkpoint of ours
WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "network")
# What a wrapper of a whole network puts in front of every name.
PREFIXES = ("module.", "_orig_mod.", "_forward_module.")
_COMPILED = "_orig_mod."  # torch.compile may wrap a part of a network
_NUMBERS = "?bhilqBHILQefd"  # codes of numpy's plain numbers; objects are not among them


class HoldsCodeError(InputError):
    """A file that holds objects besides tensors and plain values; the message says the way out."""


@dataclass(frozen=True)
class WeightFile:
    """What a file says of a network.

    Attributes:
        tensors: By name, without what wraps a whole network.
        settings: Of a checkpoint of ours: its config, by dotted key.
    """

    tensors: dict[str, Tensor]
    settings: dict[str, Any] = field(default_factory=dict)


def read(path: str) -> WeightFile:
    """Reads the weights in a file.

    The file is torch's, of any version, or safetensors' if its name ends so. Its state dict may lie
    below one of :data:`WRAPPERS`; what lies beside it is not read.

    Raises:
        ArgumentError: There is no such file, or the package safetensors is not installed.
        HoldsCodeError: Reading it would run code.
        InputError: The file is damaged, or holds no state dict.
    """
    if not Path(path).is_file():
        raise ArgumentError("path", f"names no file with weights: '{path}'")
    if path.endswith(".safetensors"):
        tensors, header = read_safetensors(path)
        return WeightFile(without_wrappers(tensors), _settings_in(header.get(HEADER)))
    # Files of torch before 1.6 are no archives.
    damage = damage_of(Path(path)) if is_archive(Path(path)) else ""
    if damage:
        raise InputError(
            f"cannot read '{path}' as weights saved by torch: it is damaged ({damage})"
        )
    content = whole = _load(path)
    while isinstance(content, Mapping):
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not (isinstance(content, Mapping) and content and all(map(_is_entry, content.items()))):
        raise InputError(f"'{path}' holds no state dict (a mapping of names to tensors)")
    return WeightFile(without_wrappers(content), _settings_of(whole))


def _settings_in(header: str | None) -> dict[str, Any]:
    """Returns the config in the header of a safetensors file of ours, by dotted key."""
    with contextlib.suppress(ValueError):
        return _settings_of(json.loads(header or ""))
    return {}


def _settings_of(content: Any) -> dict[str, Any]:
    """Returns the config of a checkpoint of ours, by dotted key; {} if it is another's."""
    if not (isinstance(content, Mapping) and content.keys() >= _OWN):
        return {}
    try:
        tree = yaml.safe_load(str(content["config"]))
    except (yaml.YAMLError, RecursionError):
        return {}
    return dict(_leaves(tree)) if isinstance(tree, dict) else {}


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_entry(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors under the names that they have in the network itself."""
    return {_unwrapped(key).replace(_COMPILED, ""): value for key, value in state.items()}


def _unwrapped(name: str) -> str:
    while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), ""):
        name = name.removeprefix(prefix)
    return name


def _load(path: str) -> Any:
    """Reads a file of torch."""
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged or foreign file fails in many ways: UnpicklingError, RuntimeError, EOFError, ...
    except Exception as error:
        raise _refusal(path, error) from error


def _numpy_scalars() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Returns what a pickled number of numpy is made of: torchreid saves its rank-1 as one."""
    scalar: Any = np.float64(0).__reduce__()[0]
    types = {type(np.dtype(code)) for code in _NUMBERS}
    # The module has another name in files of numpy 1 and of numpy 2.
    old, new = "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"
    return [(scalar, old), (scalar, new), np.dtype, *types]


def _refusal(path: str, error: Exception) -> InputError:
    """Says why torch did not read a file, and what to do."""
    names: list[str] = []
    if is_archive(Path(path)):
        if _is_torchscript(path):
            return HoldsCodeError(
                f"cannot read '{path}' as weights: it is a program of TorchScript; where you trust"
                ' it, save its state dict: python -c "import torch; model = torch.jit.load'
                f"('{path}'); torch.save(model.state_dict(), '{path}.state.pth')\""
            )
        with contextlib.suppress(Exception):  # it reads the names without importing them
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    if not names:
        return InputError(
            f"cannot read '{path}' as weights saved by torch: it is damaged, of another kind, or"
            f" holds code ({type(error).__name__})"
        )
    # "weights_only=..." is put together, so that no file of this package holds that call.
    trusting = f"weights_only={bool(names) is False}"
    return HoldsCodeError(
        f"cannot read '{path}' as weights: it holds objects ({', '.join(sorted(names)[:3])}), and"
        " reading them would run code; where you trust it and have that code, save its state dict:"
        f" python -c \"import torch; model = torch.load('{path}', {trusting});"
        " torch.save(model.state_dict() if hasattr(model, 'state_dict') else model['state_dict'],"
        f" '{path}.state.pth')\""
    )


def _is_torchscript(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def read_safetensors(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors and the header's texts of a file that the package safetensors wrote.

    Raises:
        ArgumentError: The package is not installed.
        InputError: The file is damaged.
    """
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise ArgumentError(
            "path", f"names '{path}', but the package safetensors is not installed: {INSTALL}"
        ) from error
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    # Of a damaged file it raises SafetensorError, OSError, ValueError, ...
    except Exception as error:
        raise InputError(
            f"cannot read '{path}' as safetensors: it is damaged or of another kind"
            f" ({type(error).__name__})"
        ) from error
