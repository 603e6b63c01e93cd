"""Features of a folder, a list or a pattern, in a file: what ``reid embed`` runs."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from reid.builders.extractor import load_extractor
from reid.config import load_cfg
from reid.data.image_lists import list_images
from reid.data.images import ImageError
from reid.embedding import FeatureExtractor
from reid.embedding.files import ENDING, write_features
from reid.embedding.pieces import Pieces, embed_pieces, piece_size
from reid.utils import distributed
from reid.utils.errors import InputError
from reid.utils.lock import FolderLock, TakenError
from reid.utils.logs import make_dir, remove_strays

LISTED = 20  # images that cannot be read and are named; the others are counted


def embed(
    weight: Path,
    sources: Sequence[str],
    output: Path,
    device: str = "auto",
    overrides: Sequence[str] = (),
    report: Callable[[str], None] = print,
) -> None:
    """Embeds images and writes their features with their paths.

    Finished pieces lie in a folder beside the output, and the same command goes on with them. Of
    several processes each embeds a part, and the first one writes the result.

    Args:
        weight: The checkpoint; see :func:`reid.load`.
        sources: Folders, lists, patterns, images.
        output: A file .npz, or a folder for features that are mapped.
        device: See :func:`reid.load`.
        overrides: ``[KEY, VALUE, ...]``.
        report: Is told what was done, by the first process.

    Raises:
        InputError: The output is there, a source or the weights are not, or an image cannot be
            read and DATALOADER.ON_ERROR is not skip.
    """
    if output.exists():
        raise InputError(f"{output} exists; remove it, or choose another name for -o")
    skip = load_cfg(None, [*overrides]).DATALOADER.ON_ERROR == "skip"
    images = list_images(sources)
    digest = hashlib.sha256("\n".join(images.paths).encode(errors="surrogateescape")).hexdigest()
    distributed.check_same("the list of images", digest)
    model = load_extractor(weight, device, overrides)
    folder = output.with_name(f"{output.name}.parts")
    lock = FolderLock(folder)
    if distributed.is_main():
        make_dir(output.parent)
        _take(lock, folder)
        remove_strays(output.parent, [output.name])
    try:
        size = piece_size(len(images))
        pieces = Pieces(folder, images.paths, model.fingerprint, size)
        files = [pieces.file(number) for number in range(pieces.count)]
        _embed(model, pieces, files, skip, report)
        if distributed.is_main():
            _merge(model, pieces, files, output, report)
    finally:
        if distributed.is_main():
            lock.release()
    if distributed.is_main():
        shutil.rmtree(folder)


def _take(lock: FolderLock, folder: Path) -> None:
    try:
        lock.acquire()
    except TakenError as error:
        raise InputError(f"{folder} is being written by another reid embed; wait for it") from error


def _embed(
    model: FeatureExtractor,
    pieces: Pieces,
    files: Sequence[Path],
    skip: bool,
    report: Callable[[str], None],
) -> None:
    """Embeds the part of this process, and waits for the others."""
    own = {n: files[n] for n in range(distributed.rank(), pieces.count, distributed.world_size())}
    done = sum(file.exists() for file in files)
    if done and distributed.is_main():
        report(f"going on: {done} of {pieces.count} pieces of {pieces.size} images are there")
    try:
        for _ in embed_pieces(model, pieces, own, skip):
            pass
    except ImageError as error:
        raise InputError(f"{error}; mend it, or set DATALOADER.ON_ERROR skip") from error
    distributed.largest(0)


def _merge(
    model: FeatureExtractor,
    pieces: Pieces,
    files: Sequence[Path],
    output: Path,
    report: Callable[[str], None],
) -> None:
    """Puts all pieces into one file; memory holds one of them."""
    paths: list[str] = []
    failed: list[str] = []
    for number, file in enumerate(files):
        found = pieces.read(file)
        images = pieces.images(number)
        paths += [images[place] for place in found["places"]]
        failed += [str(text) for text in found["failed"]]
    if failed:
        report(unreadable_text(failed, len(pieces.paths)))
    facts = {
        "fingerprint": model.fingerprint,
        "weight": model.source,
        "images": len(paths),
        "feat_dim": model.feat_dim,
        "config": model.config,
    }
    parts = (pieces.read(file)["feats"] for file in files)
    write_features(output, parts, (len(paths), model.feat_dim), paths, facts)
    kind = "arrays feats, paths" if output.suffix == ENDING else "feats.npy, paths.txt"
    report(f"{len(paths)} images, {model.feat_dim} numbers each\nwritten: {output} ({kind})")


def unreadable_text(failed: Sequence[str], total: int) -> str:
    """Says which images are left out; raises InputError if none is left.

    Args:
        failed: What is wrong with each of them.
        total: Number of all images.

    Raises:
        InputError: No image can be read.
    """
    if len(failed) == total:
        raise InputError(f"none of the {total} images can be read; {failed[0]}")
    more = [f"... and {len(failed) - LISTED} more"] if len(failed) > LISTED else []
    head = (
        f"warning: {len(failed)} of {total} images cannot be read and are left out"
        " (DATALOADER.ON_ERROR skip)"
    )
    return "\n".join([head, *failed[:LISTED], *more])
