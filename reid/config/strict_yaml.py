"""YAML that means what it says: nothing is dropped, nothing grows, nothing is taken for a date.

PyYAML keeps the last of two equal keys, expands references without limit, and reads ``010`` as 8
and ``10:30`` as 630. A config has no use for any of it.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

DEEPEST = 20  # levels; the longest key has 5
MOST_NODES = 10_000  # with every reference written out
TEXT = "tag:yaml.org,2002:str"
MERGE = "tag:yaml.org,2002:merge"
# Kinds of plain text that YAML 1.1 reads as something else; here they stay text.
AS_TEXT = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


class YamlError(ValueError):
    """Text that is no YAML, or YAML that a config cannot be; the message is one line."""


class _Loader(yaml.SafeLoader):
    """Reads numbers as they are written, and no dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in AS_TEXT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# Neither 010, which is 8 to YAML 1.1 and 10 to YAML 1.2, nor 10:30, which is 630.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?"
        r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def parse(text: str) -> Any:
    """Returns what a YAML text says: a dict, a list, a text, a number, a truth value or None.

    Raises:
        YamlError: The text is no YAML; it has a key twice, a tag, a reference to what it stands
            in, or more than one document; or it is too deep, or grows too large.
    """
    try:
        for event in _events(text):
            if getattr(event, "tag", None) not in (None, "!"):
                raise YamlError(f"has the tag {event.tag} in line {_line(event)}; leave it out")
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            return None
        _Check().size(node)
        return _Loader("").construct_document(node)
    except yaml.YAMLError as error:
        raise YamlError(f"is not YAML: {' '.join(str(error).split())}") from error
    except (ValueError, TypeError) as error:  # such as a number of 5000 digits
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"is not YAML that can be read: {error}") from error


def _events(text: str) -> Iterator[yaml.Event]:
    """Yields the events of the text; raises YamlError where they are nested too deep.

    PyYAML composes nodes by recursion, so that depth must be known before.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise YamlError(f"is nested deeper than {DEEPEST} levels in line {_line(event)}")
        yield event


class _Check:
    """Goes through composed nodes once, and counts what they are when written out."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.open: set[int] = set()

    def size(self, node: yaml.Node) -> int:
        """Returns the number of nodes; raises YamlError for a bad or too large one."""
        if id(node) in self.open:
            raise YamlError(f"refers to itself in line {_line(node)}")
        if id(node) not in self.sizes:
            self.open.add(id(node))
            self.sizes[id(node)] = 1 + sum(self.size(inner) for inner in _inside(node))
            self.open.remove(id(node))
        if self.sizes[id(node)] > MOST_NODES:
            raise YamlError(f"has more than {MOST_NODES} values with its references written out")
        return self.sizes[id(node)]


def _inside(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yields the nodes directly in a node; raises YamlError for a key that is there twice."""
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    seen: dict[str, yaml.Node] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.tag not in (TEXT, MERGE):
            raise YamlError(f"has a key that is no text in line {_line(key)}")
        if key.value in seen and key.tag != MERGE:
            first = _line(seen[key.value])
            raise YamlError(
                f"has the key {key.value} twice, in line {first} and in line {_line(key)}; the"
                " first would be dropped, so put them together"
            )
        seen[key.value] = key
        yield value


def _line(thing: yaml.Node | yaml.Event) -> int:
    return int(thing.start_mark.line) + 1
