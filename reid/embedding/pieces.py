"""Features of many images, piece by piece: what is finished survives a kill, and is not redone."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from reid.embedding.extractor import FeatureExtractor
from reid.utils.arrays import read_arrays
from reid.utils.logs import write_whole

# Images of a piece: a kill loses at most one piece of each process.
LEAST, MOST = 128, 2048
_PIECES = 64  # that a list has at least, where that leaves LEAST: several processes share them


def piece_size(count: int) -> int:
    """Returns how many images a piece of a list of ``count`` images has."""
    return max(LEAST, min(MOST, count // _PIECES // LEAST * LEAST))


class Pieces:
    """Finished pieces of a list of images, in a folder.

    A piece is known by its images, their sizes and times of change, and the model. So a picture
    that changed is embedded anew, and another model takes nothing from this one.

    Args:
        folder: Where pieces are kept until all are there.
        paths: The images.
        fingerprint: Of the model.
        size: Images of a piece.
    """

    def __init__(
        self, folder: Path, paths: Sequence[str], fingerprint: str, size: int = MOST
    ) -> None:
        self.folder = folder
        self.paths = paths
        self.fingerprint = fingerprint
        self.size = size
        self.count = -(-len(paths) // size)

    def images(self, number: int) -> Sequence[str]:
        """Returns the images of a piece."""
        return self.paths[number * self.size : (number + 1) * self.size]

    def file(self, number: int) -> Path:
        """Returns the file of a piece; another state of its images is another file."""
        digest = hashlib.sha256(self.fingerprint.encode())
        for path in self.images(number):
            digest.update(f"{path}\0{_state(path)}\n".encode(errors="surrogateescape"))
        return self.folder / f"{number:06}-{digest.hexdigest()[:16]}.npz"

    def write(self, file: Path, feats: np.ndarray, places: np.ndarray, failed: list[str]) -> None:
        """Writes a piece whole.

        Args:
            file: From :meth:`file`, asked for before the images were read.
            feats: (n, D) float32.
            places: (n,) place of each image in the piece.
            failed: What is wrong with the others, one line each.
        """
        texts = np.array(failed, np.str_) if failed else np.zeros(0, "<U1")
        arrays = {"feats": feats, "places": places, "failed": texts}
        write_whole(file, lambda opened: np.savez(opened, **arrays))  # type: ignore[arg-type]

    def read(self, file: Path) -> dict[str, np.ndarray]:
        """Reads a piece: ``feats`` (n, D), ``places`` (n,) and ``failed``."""
        return read_arrays(file, ["feats", "places", "failed"])


def _state(path: str) -> str:
    try:
        facts = os.stat(path)
    except OSError:
        return ""
    return f"{facts.st_size} {facts.st_mtime_ns}"


def embed_pieces(
    model: FeatureExtractor,
    pieces: Pieces,
    files: Mapping[int, Path],
    skip: bool,
) -> Iterator[int]:
    """Embeds pieces that are not finished, in one stream; yields the number of each written one.

    Args:
        model: The model.
        pieces: The pieces.
        files: The files of those that this process is to do, by their number.
        skip: Pass over images that cannot be read, and note them.

    Raises:
        ImageError: An image cannot be read, and ``skip`` is False.
    """
    left = [number for number, file in files.items() if not file.exists()]
    images = [path for number in left for path in pieces.images(number)]
    stream = model.embed_batches(images, skip=skip)
    feats = np.empty((0, model.feat_dim), np.float32)
    places: list[int] = []
    failed: list[tuple[int, str]] = []
    begin = 0
    for number in left:
        end = begin + len(pieces.images(number))
        while len(places) + len(failed) < end - begin:
            batch = next(stream)
            feats = np.concatenate([feats, batch.feats])
            places += batch.places
            failed += [(one.place, str(one.error)) for one in batch.failed]
        inside = sum(place < end for place in places)
        own = np.array(places[:inside], np.int64) - begin
        wrong = [text for place, text in failed if place < end]
        pieces.write(files[number], feats[:inside], own, wrong)
        feats, places = feats[inside:], places[inside:]
        failed = [one for one in failed if one[0] >= end]
        begin = end
        yield number
