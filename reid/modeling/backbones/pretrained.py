"""Starting weights of a backbone."""

import http.client
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from reid.utils.archives import damage_of, is_archive
from reid.utils.checks import check_choice
from reid.utils.errors import ArgumentError, InputError, in_one_line

CHOICES = ("imagenet", "path", "none")


def load_pretrained(backbone: nn.Module, name: str, choice: str, path: str) -> None:
    """Loads starting weights into a freshly built backbone.

    Args:
        backbone: A backbone of the table BACKBONES; its weights are overwritten.
        name: Name of the backbone in that table, or its provider's, which is torchvision's.
        choice: ``imagenet`` loads the weights that the backbone's ``imagenet`` gives, or else
            torchvision's IMAGENET1K_V1 weights, which are fetched once and kept in torch's hub
            cache; ``path`` loads a file; ``none`` loads nothing.
        path: For ``path``: a state dict with the network's own names (its classifier is left out)
            or of this project's model, bare or below the key ``state_dict`` or ``model``, saved by
            torch, or with the ending .safetensors by the package safetensors.

    Raises:
        ArgumentError: The choice is unknown, its weights cannot be fetched, or the path names no
            file.
        InputError: The file is damaged, or its weights are those of another network. Files are read
            without running code in them.
    """
    if choice == "imagenet":
        own = getattr(backbone, "imagenet", None)
        source, state = _imagenet(name) if own is None else own()
    elif choice == "path":
        source = path
        state = _read(path)
    elif choice == "none":
        return
    else:
        check_choice("choice", choice, CHOICES)
    left_out = getattr(backbone, "classifier", "fc.")
    # A network of another project is below "net", and its files have the names without it.
    net = getattr(backbone, "net", backbone)
    state = _without_prefix(state)
    adapted = getattr(backbone, "adapted", None)
    if adapted is not None:
        try:
            state = adapted(state)
        except InputError:
            raise
        # Conversions of other projects end in many ways where a file is of another network.
        except Exception as error:
            raise InputError(
                f"'{source}' does not fit the backbone ({in_one_line(error)})"
            ) from error
    state = {key: value for key, value in state.items() if not key.startswith(left_out)}
    drawn = net.state_dict()
    extra = getattr(backbone, "extra", None)
    if extra is not None and not any(extra in key for key in state):
        state |= {key: value for key, value in drawn.items() if extra in key}
    _check_fit(state, drawn, source)
    net.load_state_dict(state)


def _imagenet(name: str) -> tuple[str, Mapping[str, Any]]:
    """Returns the name of torchvision's file and its content."""
    from torchvision.models import get_model_weights  # here: it takes as long to load as torch

    try:
        known = get_model_weights(name)
        weights = getattr(known, "IMAGENET1K_V1", known.DEFAULT)
    except (ValueError, AttributeError):
        raise ArgumentError(
            "choice",
            f"is imagenet, but torchvision has no ImageNet weights for backbone '{name}'; set it to"
            " path and name a file, or to none",
        ) from None
    file = Path(torch.hub.get_dir(), "checkpoints", os.path.basename(weights.url))
    if file.exists():
        return str(file), _read(str(file))
    try:
        state = weights.get_state_dict(check_hash=True, weights_only=True)
    # torch raises RuntimeError when the digest of what arrived is wrong.
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise ArgumentError(
            "choice",
            f"is imagenet, but the weights of {name} cannot be fetched ({error}); three ways out:"
            f" put the file {file.name} into {file.parent}; or set it to path and name a file with"
            " weights; or set it to none to train from scratch",
        ) from error
    return str(file), cast(Mapping[str, Any], state)


def _read(path: str) -> Mapping[str, Any]:
    """Returns the state dict in a file."""
    if not Path(path).is_file():
        raise ArgumentError("path", f"names no file with weights: '{path}'")
    # Files of torch before 1.6 are no archives.
    damage = damage_of(Path(path)) if is_archive(Path(path)) else ""
    if damage:
        raise InputError(
            f"cannot read '{path}' as weights saved by torch: it is damaged ({damage})"
        )
    if path.endswith(".safetensors"):
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged or foreign file fails in many ways: UnpicklingError, RuntimeError, EOFError, ...
    except Exception as error:
        raise InputError(
            f"cannot read '{path}' as weights saved by torch: it is damaged, of another kind, or"
            f" holds code ({type(error).__name__})"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not (isinstance(content, Mapping) and content and all(map(_is_entry, content.items()))):
        raise InputError(f"'{path}' holds no state dict (a mapping of names to tensors)")
    return content


def _read_safetensors(path: str) -> Mapping[str, Tensor]:
    """Returns the tensors of a file that the package safetensors wrote; it can hold no code."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ArgumentError(
            "path",
            f"names '{path}', but the package safetensors is not installed: pip install"
            " safetensors",
        ) from error
    try:
        tensors: Mapping[str, Tensor] = load_file(path)
    # Of a damaged file it raises SafetensorError, OSError, ValueError, ...
    except Exception as error:
        raise InputError(
            f"cannot read '{path}' as safetensors: it is damaged or of another kind"
            f" ({type(error).__name__})"
        ) from error
    return tensors


def _is_entry(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Takes off the prefix of DataParallel and of the whole model, whose other parts go."""
    state = {key.removeprefix("module."): value for key, value in state.items()}
    inner = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    return {key.removeprefix("net."): value for key, value in inner.items()} or state


def _check_fit(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> None:
    """Raises InputError that names the first key that does not fit."""
    for key, value in wanted.items():
        # Files older than torch 0.4.1 lack these counters; load_state_dict sets them to 0.
        if key not in given and not key.endswith("num_batches_tracked"):
            raise InputError(f"'{source}' does not fit the backbone: it lacks '{key}'")
        if key in given and given[key].shape != value.shape:
            raise InputError(
                f"'{source}' does not fit the backbone: '{key}' is {tuple(given[key].shape)} "
                f"in the file and {tuple(value.shape)} in the network"
            )
    for key in given:
        if key not in wanted:
            raise InputError(f"'{source}' does not fit the backbone: unexpected key '{key}'")
