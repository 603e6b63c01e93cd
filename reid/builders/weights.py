"""Other people's weights as a model, a config and a checkpoint of ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from yacs.config import CfgNode

import reid
from reid.builders.model import build_model
from reid.config import dump, load_cfg
from reid.engine import checkpoint as ckpt
from reid.modeling import ReIDModel
from reid.modeling.backbones.pretrained import adapted
from reid.utils.code_state import code_state
from reid.utils.errors import InputError
from reid.weights import FAMILIES, Conversion, Found, Options, converted, recognized
from reid.weights.ordering import by_order
from reid.weights.plain import bare_settings
from reid.weights.reading import HoldsCodeError, read
from reid.weights.transreid import CAMERAS

# What a network can do without: the losses' side of the head, and counters younger than some files.
_MAY_LACK = ("head.classifier.",)
_PIXELS = ("INPUT.PIXEL_MEAN", "INPUT.PIXEL_STD")
_COUNTER = "num_batches_tracked"


@dataclass
class Converted:
    """A model of ours with a file's weights.

    Attributes:
        family: Name of the family of the file.
        conversion: What came from the file.
        cfg: The config of the model.
        settings: What of it is not at its default, by key, as text.
        model: The model.
        missing: Names in the model that the file has nothing for, each with what they have now.
    """

    family: str
    conversion: Conversion
    cfg: CfgNode
    settings: dict[str, str]
    model: ReIDModel
    missing: dict[str, str] = field(default_factory=dict)


def convert(
    path: str,
    overrides: Sequence[str] = (),
    family: str = "",
    options: Options | None = None,
    ordered: bool = False,
) -> Converted:
    """Makes a model of a file of another project.

    Args:
        path: The file.
        overrides: ``[KEY, VALUE, ...]`` that go before what the family says.
        family: Name of the family; "" recognizes it.
        options: What the user says of the file.
        ordered: The names are foreign: tensors are paired with the network's one after another.

    Raises:
        InputError: The file cannot be read, or is of a network that is not known here.
    """
    load_cfg(None, overrides)  # IMPORTS may bring a family; and a wrong key is said at once
    state = read(path).tensors
    try:
        conversion, family = _named(state, family, options or Options(), ordered)
        typed = dict(zip(overrides[::2], overrides[1::2], strict=True))
        done = _built(family, conversion, typed)
        if ordered:
            _order(conversion, state, done.model)
        elif family == "plain":
            _adapt(conversion, done.model, path)
        _fill(done)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    return done


def _built(family: str, conversion: Conversion, typed: Mapping[str, str]) -> Converted:
    """Builds the model with random weights, for the pixels that its network was trained on.

    Args:
        family: Name of the family.
        conversion: What the family says; it is told the pixels.
        typed: Settings of the user, which go first.
    """
    texts = {**{key: str(value) for key, value in conversion.settings.items()}, **typed}
    cfg = load_cfg(None, [part for pair in texts.items() for part in pair])
    model = build_model(cfg, conversion.num_classes, pretrained=False).cpu()
    traits = getattr(model.backbone, "traits", None)
    if traits is not None and traits.pixels and _PIXELS[0] not in texts:
        conversion.settings |= dict(zip(_PIXELS, traits.pixels, strict=True))
        return _built(family, conversion, typed)
    return Converted(family, conversion, cfg, texts, model)


def _adapt(conversion: Conversion, model: ReIDModel, path: str) -> None:
    """Has a provider's network convert names and positions of its weights, where it can.

    Args:
        conversion: The weights; they are replaced.
        model: The model.
        path: The file, for messages.
    """
    if not hasattr(model.backbone, "adapted"):
        return
    given = conversion.backbone()
    found = adapted(model.backbone, given, path)
    conversion.tensors = {f"backbone.net.{name}": value for name, value in found.items()}
    kept = [name for name in found if name in given]
    conversion.origin = {f"backbone.net.{name}": name for name in kept}
    for name in given.keys() - found.keys():
        conversion.skipped[name] = "is part of others now, as its own project converts it"


def _named(
    state: Mapping[str, Tensor], family: str, options: Options, ordered: bool
) -> tuple[Conversion, str]:
    """Returns the tensors under our names, and the family."""
    if ordered and not options.network:
        raise InputError("the order of a file tells no network: say --network NAME")
    if ordered:
        return Conversion(settings=dict(bare_settings(options.network))), "plain"
    name = family or ("plain" if options.network else "")
    if options.network and name != "plain":
        raise InputError(f"--network is for a bare network, and not for a file of {family}")
    if options.camera and not any(key.endswith(CAMERAS) for key in state):
        raise InputError("--camera is given, and its network is not told the camera of an image")
    found = Found(name, state) if options.network else recognized(state, name)
    if found is None and name:
        raise InputError(f"its names are not those of {name}: {FAMILIES[name].meaning}")
    found = found or Found("plain", state)
    beside = [key for key in state if not key.startswith(found.prefix)]
    if beside and found.family == "plain" and not family:
        raise InputError(
            f"it holds a ResNet below {found.prefix} with other parts beside it ({beside[0]}), of"
            " no project that is known here; --from plain takes the ResNet alone"
        )
    conversion = converted(found, options)
    why = f"beside the network, which is below {found.prefix}"
    conversion.skipped |= dict.fromkeys(beside, why)
    return conversion, found.family


def _order(conversion: Conversion, state: Mapping[str, Tensor], model: nn.Module) -> None:
    """Fills a conversion with the tensors of a file by the order of the backbone's."""
    backbone = cast(Any, model).backbone
    left_out = getattr(backbone, "classifier", "fc.")
    net = getattr(backbone, "net", backbone)
    below = "backbone." if net is backbone else "backbone.net."
    wanted = {k: v for k, v in net.state_dict().items() if not k.startswith(left_out)}
    for ours, theirs in by_order(state, wanted).items():
        conversion.tensors[below + ours] = state[theirs]
        conversion.origin[below + ours] = theirs
    conversion.remarks.append("paired by order: every shape and every last word of a name agrees")


def _fill(done: Converted) -> None:
    """Loads the weights into the model, and notes what the file has nothing for."""
    conversion, model = done.conversion, done.model
    left_out = getattr(model.backbone, "classifier", "fc.")
    own = model.state_dict()
    for name, value in list(conversion.tensors.items()):
        inner = name.removeprefix("backbone.").removeprefix("net.")
        if name not in own and name.startswith("backbone.") and inner.startswith(left_out):
            conversion.skipped[conversion.origin.pop(name, name)] = "classifier of the bare network"
            del conversion.tensors[name]
        elif name not in own:
            raise InputError(
                f"it has '{conversion.origin.get(name, name)}', and the network"
                f" {_network(done)} has no such part; it is another network, or only its names"
                " differ (--by-order)"
            )
        elif own[name].shape != value.shape:
            raise InputError(
                f"'{conversion.origin.get(name, name)}' is {tuple(value.shape)} in the file and"
                f" {tuple(own[name].shape)} in the network {_network(done)}"
            )
    for name in own:
        if name not in conversion.origin:
            done.missing[name] = _instead(name, done)
    model.load_state_dict(conversion.tensors, strict=False)


def _instead(name: str, done: Converted) -> str:
    """Says what a part of the model has that the file has nothing for.

    Args:
        name: The part.
        done: The model.

    Raises:
        InputError: A feature depends on it.
    """
    if name in done.conversion.tensors:
        return "not in the file under one name: made of it, or a constant of that project"
    if name.endswith(_COUNTER):
        return "0"
    if name.startswith(_MAY_LACK):
        return "random; no feature depends on it"
    raise InputError(f"it lacks '{name}' of the network {_network(done)}")


def _network(done: Converted) -> str:
    return f"{done.cfg.MODEL.BACKBONE.NAME} with the head {done.cfg.MODEL.HEAD.NAME}"


def as_checkpoint(done: Converted, source: str) -> dict[str, Any]:
    """Returns what a checkpoint of ours with these weights holds.

    Args:
        done: The model with the weights.
        source: Name of the file that the weights are from.
    """
    code = code_state()
    return {
        "format": ckpt.FORMAT,
        "version": reid.__version__,
        "commit": code["commit"],
        "code": code,
        "epoch": 0,
        "config": dump(done.cfg),
        "pids": list(range(done.conversion.num_classes)),
        "model": done.model.state_dict(),
        "facts": {"converted": {"file": source, "family": done.family}},
    }


def load_any(path: Path) -> tuple[dict[str, Any], str]:
    """Reads a checkpoint of ours, or makes one of a file of another project in memory.

    Args:
        path: The file.

    Returns:
        The checkpoint, and the family of the file; "" if it is ours.

    Raises:
        InputError: The file is neither.
    """
    try:
        return ckpt.load(path), ""
    except ckpt.ForeignError as error:
        try:
            found = recognized(read(str(path)).tensors)
        except HoldsCodeError:
            raise
        except InputError:
            found = None
        if found is None or found.family == "plain":
            raise error from None
    done = convert(str(path))
    return as_checkpoint(done, path.name), done.family
