"""Which images of an index a search looks at: by camera, person and time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Filter:
    """What a hit has to fulfil; an image whose camera or time is unknown does not fulfil it.

    Attributes:
        cameras: Names of the cameras; empty is all.
        without_cameras: Cameras that are left out.
        identities: Names of the people; empty is all.
        since: First moment, seconds since 1970; None is none.
        until: Last moment.
    """

    cameras: Sequence[str] = ()
    without_cameras: Sequence[str] = ()
    identities: Sequence[str] = ()
    since: float | None = None
    until: float | None = None

    def __bool__(self) -> bool:
        return bool(self.cameras or self.without_cameras or self.identities) or not (
            self.since is None and self.until is None
        )

    def mask(self, columns: "Columns") -> np.ndarray:
        """Returns which rows fulfil it, (N,) bool.

        Args:
            columns: Of the rows.
        """
        kept = np.ones(len(columns.times), bool)
        if self.cameras:
            kept &= columns.is_one_of("camera", self.cameras)
        if self.without_cameras:
            known = ~columns.is_one_of("camera", [""])
            kept &= known & ~columns.is_one_of("camera", self.without_cameras)
        if self.identities:
            kept &= columns.is_one_of("identity", self.identities)
        if self.since is not None:
            kept &= columns.times >= self.since  # NaN is never
        if self.until is not None:
            kept &= columns.times <= self.until
        return kept


@dataclass(frozen=True)
class Columns:
    """What is known of rows, in a form that takes little memory.

    Attributes:
        names: Of "identity" and "camera", the names that occur, by number.
        codes: Of both, the number of each row's name, (N,) int32.
        times: (N,) float64 seconds since 1970, NaN where they are unknown.
    """

    names: dict[str, list[str]]
    codes: dict[str, np.ndarray]
    times: np.ndarray

    def is_one_of(self, column: str, wanted: Sequence[str]) -> np.ndarray:
        """Returns which rows have one of some names, (N,) bool.

        Args:
            column: "identity" or "camera".
            wanted: The names.
        """
        numbers = [number for number, name in enumerate(self.names[column]) if name in wanted]
        return np.isin(self.codes[column], numbers)

    def name(self, column: str, row: int) -> str:
        """Returns the name of a row.

        Args:
            column: "identity" or "camera".
            row: Number of the row.
        """
        return self.names[column][int(self.codes[column][row])]
