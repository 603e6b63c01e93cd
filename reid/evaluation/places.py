"""Where the results of a test are kept, so that no test replaces the result of something else.

Results are kept by what was tested (a checkpoint, a reference, saved features), on which data, and
under which protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid.evaluation.protocol import CROSS_CAMERA
from reid.utils.errors import InputError
from reid.utils.jsonfile import read_json

METRICS_FILE = "metrics.json"
RANKING_FILE = "ranking.npz"
FEATURES_FILE = "features.npz"
PARTIAL_FILE = "re-ranking.partial.npz"  # the state of a long re-ranking
FOLDER = "test"  # in OUTPUT_DIR


@dataclass(frozen=True)
class Subject:
    """What a result is about.

    Attributes:
        source: "weight", "features", or the name of a reference.
        dataset: Name of the data set; "" where features say none.
        protocol: One of :data:`reid.evaluation.protocol.PROTOCOLS`.
        ids: From :func:`reid.evaluation.protocol.ids_hash`; "" where an older version wrote none.
    """

    source: str
    dataset: str
    protocol: str
    ids: str

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> "Subject":
        """Reads it off the entries of metrics.json."""
        source = "features" if "features" in metrics else metrics.get("reference", "weight")
        dataset = metrics.get("dataset") or ""
        protocol = metrics.get("protocol", CROSS_CAMERA)
        return cls(str(source), str(dataset), str(protocol), str(metrics.get("ids") or ""))

    @property
    def name(self) -> str:
        """The name of the folder that holds its results: ``market1501_any_camera``."""
        source = "" if self.source == "weight" else self.source
        return "_".join(filter(None, (source, self.dataset, self.protocol)))

    def is_same(self, other: "Subject") -> bool:
        """Says whether ``other`` is about the same; an unknown list of people may be any."""
        known = {self.ids, other.ids} - {""}
        mine = (self.source, self.dataset, self.protocol)
        return mine == (other.source, other.dataset, other.protocol) and len(known) < 2


def place(output: Path, subject: Subject, own: bool) -> tuple[str, ...]:
    """Returns the names of the folders below ``output`` that lead to the place of a result.

    Args:
        output: OUTPUT_DIR.
        subject: What the result is about.
        own: Whether ``output`` itself is the folder for such a result: it holds no run, or the run
            whose own test this is.
    """
    parts: list[tuple[str, ...]] = [()] if own else []
    parts.append((FOLDER, subject.name))
    for names in parts:
        old = read_old(output.joinpath(*names))
        if old is None or subject.is_same(Subject.of(old)):
            return names
    return (FOLDER, f"{subject.name}_{subject.ids}")


def read_old(folder: Path) -> dict[str, Any] | None:
    """Returns the entries of the metrics.json in a folder; None if none is there, or none of ours.

    A file that cannot be read holds no result that could be lost.
    """
    try:
        found = read_json(folder / METRICS_FILE, "the result of a test")
    except InputError:
        return None
    return found if isinstance(found, dict) else None
