"""What a long search has found so far, in a file: a search that was killed goes on from it."""

import hashlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reid.utils.arrays import read_arrays
from reid.utils.errors import InputError
from reid.utils.logs import write_whole

SECONDS = 180.0  # between two states; a state of 519 281 images is about 1 GiB
_ROWS = 4096  # that are digested at a time
_DONE, _OF = "blocks_done", "fingerprint"

logger = logging.getLogger(__name__)


class PartialSearch:
    """The state of a search that goes block by block.

    A state of other features or settings is not used, and replaced.

    Args:
        path: The file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._of = np.zeros(0, np.uint8)
        self._saved_at = time.monotonic()

    def load(self, features: Tensor, settings: str, lists: Mapping[str, Tensor]) -> int:
        """Fills the lists from the file; returns the number of blocks that are done.

        Args:
            features: (N, D) that are searched.
            settings: All else that decides what the lists hold.
            lists: What the search changes, by name; filled if there is a state.

        Raises:
            InputError: The file is there, and cannot be read.
        """
        self._saved_at = time.monotonic()
        if self.path is None:
            return 0
        self._of = _fingerprint(features, settings)
        if not self.path.exists():
            return 0
        try:
            found = read_arrays(self.path, [_DONE, _OF, *lists])
        except InputError as error:
            raise InputError(f"{error}; remove it, and the search begins anew") from error
        if not np.array_equal(found[_OF], self._of):
            return 0
        for name, values in lists.items():
            values.copy_(torch.from_numpy(found[name]))
        return int(found[_DONE])

    def after(self, done: int, lists: Mapping[str, Tensor], last: bool = False) -> None:
        """Writes the state if the last one is old; a full disk is told, and the search goes on.

        Args:
            done: Number of blocks that are done.
            lists: As in :meth:`load`.
            last: Whether the search is finished: what follows may take long, too.
        """
        if self.path is None or time.monotonic() - self._saved_at < (
            SECONDS / 3 if last else SECONDS
        ):
            return
        arrays = {name: values.cpu().numpy() for name, values in lists.items()}
        arrays |= {_DONE: np.array(done), _OF: self._of}
        try:
            write_whole(self.path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
        except OSError as error:
            logger.warning(f"warning: {self.path} was not written: {error}; the search goes on")
        self._saved_at = time.monotonic()

    def remove(self) -> None:
        """Removes the file: its search is of no more use."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _fingerprint(features: Tensor, settings: str) -> np.ndarray:
    """Returns the SHA-256 of all features and the settings, (32,) uint8."""
    digest = hashlib.sha256(f"{tuple(features.shape)} {features.dtype} {settings}".encode())
    for rows in features.split(_ROWS):
        digest.update(rows.detach().cpu().contiguous().numpy())
    return np.frombuffer(digest.digest(), np.uint8)
