"""The table of families of files, and what one says about a file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from reid.utils.errors import InputError, in_one_line
from reid.utils.registry import Registry

State = Mapping[str, Tensor]
Rules = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Options:
    """What the user says of a file that it does not say itself.

    Attributes:
        network: Name of the backbone, for a file of a bare network.
        camera: Of a network that is told the camera of each image: the number of the one that all
            images are taken for, or ``mean``.
    """

    network: str = ""
    camera: str = ""


@dataclass
class Conversion:
    """A file's weights under the names that they have here.

    Attributes:
        tensors: By name in :class:`reid.modeling.model.ReIDModel`: ``backbone.``, ``pooling.``,
            ``head.``.
        origin: Name in the file of each of them; a constant of the project has none.
        skipped: Names in the file that go nowhere, each with the reason.
        settings: Config keys that the weights need to mean what they meant.
        remarks: What was assumed, and what is not as in the project that the file is from.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def num_classes(self) -> int:
        """Number of identities that the classifier tells apart; 1 where the file has none."""
        classifier = self.tensors.get("head.classifier.weight")
        return 1 if classifier is None or classifier.ndim != 2 else len(classifier)

    def backbone(self) -> dict[str, Tensor]:
        """Returns the backbone's weights under its own names."""
        inner = {k.removeprefix("backbone."): v for k, v in self.tensors.items()
                 if k.startswith("backbone.")}  # fmt: skip
        return {key.removeprefix("net."): value for key, value in inner.items()}

    def arguments(self) -> dict[str, Any]:
        """Returns what the backbone was built with, by argument: ``stem_relu``."""
        name = str(self.settings.get("MODEL.BACKBONE.NAME", "")).partition(":")[0]
        section = f"MODEL.BACKBONE.{name.upper()}."
        own = {
            k.removeprefix(section): v for k, v in self.settings.items() if k.startswith(section)
        }
        return {key.lower(): value for key, value in own.items()}


class Family:
    """Files of one project.

    Attributes:
        meaning: The project and what of it is read, for lists.
    """

    meaning = ""

    def recognizes(self, state: State) -> bool:
        """Says whether names and shapes are those of the project.

        Raises:
            TypeError: The subclass has no method of its own.
        """
        raise TypeError(f"{type(self).__name__} has no recognizes(state)")

    def fits(self, state: State) -> bool:
        """Says whether the file can be of the project, where the user says that it is."""
        return self.recognizes(state)

    def convert(self, state: State, options: Options) -> Conversion:
        """Names the weights as here, and says what they need.

        Args:
            state: Tensors by name in the file, without what wraps a whole network.
            options: What the user says of the file.

        Raises:
            InputError: It is a network that is not known here; says what to do.
            TypeError: The subclass has no method of its own.
        """
        raise TypeError(f"{type(self).__name__} has no convert(state, options)")


FAMILIES: Registry[type[Family]] = Registry("family of weights", base=Family)


@dataclass(frozen=True)
class Found:
    """Where the network lies in a file.

    Attributes:
        family: Name in FAMILIES.
        network: Its tensors by name, without the name that the network has in the file.
        prefix: That name, with a dot; "" where it has none.
    """

    family: str
    network: State
    prefix: str = ""


def recognized(state: State, family: str = "") -> Found | None:
    """Finds the family of a file.

    A training framework may keep the network below a name of its own (``model.``, ``net.``), with
    other things beside it.

    Args:
        state: Tensors by name, from :func:`reid.weights.reading.read`.
        family: What the user says; "" asks all families.

    Returns:
        None if no family knows the names.
    """
    below = sorted({key.partition(".")[0] + "." for key in state if "." in key})
    names = [family] if family else FAMILIES.names()
    for prefix in ("", *below):
        inner = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        for name in names:
            if FAMILIES[name]().recognizes(inner):
                return Found(name, inner, prefix)
    return Found(family, state) if family and FAMILIES[family]().fits(state) else None


def converted(found: Found, options: Options) -> Conversion:
    """Has a family convert the network that was found in a file.

    Args:
        found: The network and its family.
        options: What the user says of the file.

    Raises:
        InputError: It is a network that is not known here, or its tensors have foreign shapes.
    """
    try:
        return FAMILIES[found.family]().convert(found.network, options)
    # A crafted file may have any shape under any name.
    except (TypeError, IndexError, KeyError, RuntimeError) as error:
        raise InputError(
            f"its tensors are not those of {found.family} ({in_one_line(error)})"
        ) from error


def renamed(project: str, state: State, rules: Rules, dropped: Rules = ()) -> Conversion:
    r"""Names tensors by the first rule that fits the whole name.

    Args:
        project: For the message.
        state: Tensors by name.
        rules: (pattern, name here, with ``\1`` for the first group).
        dropped: (pattern, why such a tensor goes nowhere); they go first.

    Raises:
        InputError: A name that no rule fits: the file is of a network that is not known here.
    """
    found = Conversion()
    for name, value in state.items():
        why = next((why for pattern, why in dropped if re.fullmatch(pattern, name)), "")
        if why:
            found.skipped[name] = why
            continue
        rule = next((rule for rule in rules if re.fullmatch(rule[0], name)), None)
        if rule is None:
            raise InputError(
                f"it has '{name}', which is no part of the networks of {project} that are known"
                " here; a family of your own is one file, see docs/weights.md"
            )
        here = re.sub(rule[0], rule[1], name)
        found.tensors[here], found.origin[here] = value, name
    return found
