"""Starting weights of a backbone."""

import http.client
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from reid.utils.checks import check_choice
from reid.utils.errors import ArgumentError, InputError, in_one_line
from reid.weights import Conversion, Options, converted, recognized
from reid.weights.reading import WeightFile, read

CHOICES = ("imagenet", "path", "none")


def load_pretrained(backbone: nn.Module, name: str, choice: str, path: str) -> None:
    """Loads starting weights into a freshly built backbone.

    Args:
        backbone: A backbone of the table BACKBONES; its weights are overwritten.
        name: Name of the backbone in that table, or its provider's, which is torchvision's.
        choice: ``imagenet`` loads the weights that the backbone's ``imagenet`` gives, or else
            torchvision's IMAGENET1K_V1 weights, which are fetched once and kept in torch's hub
            cache; ``path`` loads a file; ``none`` loads nothing.
        path: For ``path``: a file that :func:`reid.weights.reading.read` reads, with the network's
            own names (its classifier is left out), of this project's model, or of one of the
            families in :data:`reid.weights.FAMILIES`.

    Raises:
        ArgumentError: The choice is unknown, its weights cannot be fetched, or the path names no
            file.
        InputError: The file is damaged, or its weights are those of another network. Files are read
            without running code in them.
    """
    if choice == "imagenet":
        own = getattr(backbone, "imagenet", None)
        source, state = _imagenet(name) if own is None else own()
        file = WeightFile(dict(state))
    elif choice == "path":
        source = path
        file = read(path)
    elif choice == "none":
        return
    else:
        check_choice("choice", choice, CHOICES)
    left_out = getattr(backbone, "classifier", "fc.")
    # A network of another project is below "net", and its files have the names without it.
    net = getattr(backbone, "net", backbone)
    state = _of_family(backbone, file, source)
    state = adapted(backbone, state, source)
    state = {key: value for key, value in state.items() if not key.startswith(left_out)}
    drawn = net.state_dict()
    extra = getattr(backbone, "extra", None)
    if extra is not None and not any(extra in key for key in state):
        state |= {key: value for key, value in drawn.items() if extra in key}
    _check_fit(state, drawn, source)
    net.load_state_dict(state)


def adapted(backbone: nn.Module, state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Returns weights as a backbone of a provider needs them: its names, its positions.

    Args:
        backbone: The backbone; one without ``adapted`` needs nothing.
        state: Weights by the network's own names.
        source: The file, for messages.

    Raises:
        InputError: They are those of another network.
    """
    convert = getattr(backbone, "adapted", None)
    if convert is None:
        return state
    try:
        found: dict[str, Tensor] = convert(state)
    except InputError:
        raise
    # Conversions of other projects end in many ways where a file is of another network.
    except Exception as error:
        raise InputError(f"'{source}' does not fit the backbone ({in_one_line(error)})") from error
    return found


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
    return fetched(weights.url, name)


def fetched(url: str, name: str) -> tuple[str, Mapping[str, Any]]:
    """Returns the name and the content of a published file, which torch's hub cache keeps.

    Args:
        url: Its name ends with the first digits of its SHA-256, which are checked.
        name: Name of the backbone, for messages.

    Raises:
        ArgumentError: It cannot be fetched; tells three ways out.
    """
    file = Path(torch.hub.get_dir(), "checkpoints", os.path.basename(url))
    if file.exists():
        return str(file), read(str(file)).tensors
    try:
        state = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    # torch raises RuntimeError when the digest of what arrived is wrong.
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise ArgumentError(
            "choice",
            f"is imagenet, but the weights of {name} cannot be fetched ({error}); three ways out:"
            f" put the file {file.name} into {file.parent}; or set it to path and name a file with"
            " weights; or set it to none to train from scratch",
        ) from error
    return str(file), cast(Mapping[str, Any], state)


def _of_family(backbone: nn.Module, file: WeightFile, source: str) -> dict[str, Tensor]:
    """Returns a file's weights under the backbone's own names, whatever project wrote the file.

    Args:
        backbone: Says how it was built, by attributes with the names of its arguments.
        file: What was read.
        source: The file, for messages.

    Raises:
        InputError: The file's network is built otherwise than the backbone.
    """
    own = Conversion(file.tensors, settings=file.settings)  # of this project's own model
    found = None if file.settings else recognized(file.tensors)
    if found is None or found.family == "plain":
        _check_built(backbone, own, f"'{source}' is a checkpoint")
        return own.backbone() or dict(file.tensors if found is None else found.network)
    what = f"'{source}' is a file of {found.family}"
    try:
        conversion = converted(found, Options())
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    _check_built(backbone, conversion, what)
    return conversion.backbone()


def _check_built(backbone: nn.Module, conversion: Conversion, what: str) -> None:
    """Raises InputError unless a backbone is built as the network that the weights are from.

    Args:
        backbone: Says how it was built, by attributes with the names of its arguments.
        conversion: The weights.
        what: Their file, for the message.
    """
    theirs = conversion.arguments()
    for argument in getattr(backbone, "decisive", ()):
        value = theirs.get(argument, getattr(backbone, argument))
        if getattr(backbone, argument) != value:
            key = argument.upper()
            raise InputError(
                f"{what}, whose network has {key} {value}, and this backbone has"
                f" {getattr(backbone, argument)}: set the backbone's {key} to {value}"
            )


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
