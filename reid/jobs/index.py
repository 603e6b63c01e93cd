"""Indexes of images: what ``reid index build``, ``add``, ``remove`` and ``info`` run."""

import fnmatch
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid.builders.extractor import load_extractor
from reid.config import load_cfg
from reid.data.image_lists import ImageList, list_images, named_images
from reid.data.images import ImageError
from reid.embedding import FeatureExtractor
from reid.embedding.files import read_features
from reid.jobs.embed import unreadable_text
from reid.search import LocalIndex, SearchIndex, make_rows
from reid.search.approximate import import_faiss
from reid.search.places import DATABASE, create_index, open_index
from reid.utils.errors import InputError

COMMIT = 8192  # images after which what was added is kept, whatever happens then
MEASURED = 100  # images whose neighbours approximate search is measured on


@dataclass(frozen=True)
class Content:
    """Where images come from, and their features.

    Attributes:
        sources: Folders, lists, patterns, images.
        features: A file of ``reid embed`` instead, or of any program; None embeds the sources.
        weight: The checkpoint; None is that of the index.
        device: See :func:`reid.load`.
        overrides: ``[KEY, VALUE, ...]``.
    """

    sources: Sequence[str] = ()
    features: Path | None = None
    weight: Path | None = None
    device: str = "auto"
    overrides: Sequence[str] = ()

    def __post_init__(self) -> None:
        if bool(self.sources) == (self.features is not None):
            raise InputError(
                "name the images (a folder, a list, a pattern, a file), or --features, not both"
                if self.sources
                else "name the images: a folder, a list, a pattern or a file, or --features FILE"
            )


def build_index(
    place: str,
    content: Content,
    metric: str,
    approximate: str = "",
    report: Callable[[str], None] = print,
) -> None:
    """Makes an index of images.

    Args:
        place: A folder, or a database; see :func:`reid.search.places.open_index`.
        content: The images; it names the checkpoint.
        metric: ``euclidean`` or ``cosine``.
        approximate: ``hnsw`` or ``ivf``; "" is exact search.
        report: Is told what was done.

    Raises:
        InputError: The place is taken, or the images or the weights are not there.
    """
    if content.features is not None:
        saved = read_features(content.features)
        dim, fingerprint, weight = saved.feats.shape[1], saved.fingerprint, ""
        model = None
    else:
        if content.weight is None:
            raise InputError("name the checkpoint that embeds the images: --weight FILE")
        list_images(content.sources)  # before anything is made
        model = load_extractor(content.weight, content.device, content.overrides)
        dim, fingerprint, weight = model.feat_dim, model.fingerprint, os.path.abspath(model.source)
    facts = {
        "metric": metric,
        "fingerprint": fingerprint,
        "weight": weight,
        "overrides": _of_features(content.overrides),
    }
    if approximate:
        import_faiss()
        if place.startswith(DATABASE):
            raise InputError("a database prepares its search itself; leave out --approximate")
    with closing(create_index(place, dim, facts)) as index:
        _add(index, content, model, report)
        if approximate:
            _approximate(index, approximate, report)
    report(f"written: {place}")


def _of_features(overrides: Sequence[str]) -> list[str]:
    """Returns the settings that features depend on, for those who load the model again.

    IMPORTS is not among them: an index may come from somebody else, and runs no code of its choice.
    """
    pairs = zip(overrides[::2], overrides[1::2], strict=True)
    kept = [pair for pair in pairs if not pair[0].startswith(("DATALOADER.", "IMPORTS"))]
    return [word for pair in kept for word in pair]


def add_to_index(place: str, content: Content, report: Callable[[str], None] = print) -> None:
    """Adds images to an index; those that are in it stay as they are.

    Args:
        place: The index.
        content: The images.
        report: Is told what was done.

    Raises:
        InputError: There is no such index, or it was built with another model.
    """
    with closing(open_index(place)) as index:
        model = None
        if content.features is None:
            model = model_of(index, place, content)
        else:
            fingerprint = read_features(content.features).fingerprint
            check_model(index, place, fingerprint, content.features)
        _add(index, content, model, report)
        kind = str(index.facts.get("approximate", ""))
        if kind.endswith("outdated"):
            _approximate(index, kind.partition(",")[0], report)


def _approximate(index: SearchIndex, kind: str, report: Callable[[str], None]) -> None:
    """Prepares approximate search, and tells what it finds of what exact search finds."""
    assert isinstance(index, LocalIndex)
    index.make_approximate(kind)
    paths = index.paths()
    chosen = paths[:: max(1, len(paths) // MEASURED)][:MEASURED]
    feats = index.feats_of(chosen)
    k = min(10, len(paths))
    hits = []
    seconds = []
    for exact in (False, True):
        start = time.perf_counter()
        hits.append(index.search(feats, k, exact=exact))
        seconds.append((time.perf_counter() - start) / len(chosen) * 1000)
    pairs = zip(*hits, strict=True)
    same = sum(len({h.path for h in one} & {h.path for h in other}) for one, other in pairs)
    report(
        f"{kind}: {same / (k * len(chosen)):.1%} of the {k} nearest of {len(chosen)} images are"
        f" found, in {seconds[0]:.2f} ms an image; exact search takes {seconds[1]:.2f} ms".replace(
            "%", " %", 1
        )
    )


def model_of(index: SearchIndex, place: str, content: Content) -> FeatureExtractor:
    """Loads the model that an index was built with.

    Args:
        index: The index.
        place: Where it is, for messages.
        content: May name the weights, which else are where they were.

    Raises:
        InputError: The weights are not there, or of another model.
    """
    facts = index.facts
    weight = content.weight or (Path(facts["weight"]) if facts["weight"] else None)
    if weight is None:
        raise InputError(f"{place} was built of features: name the model by --weight FILE")
    if content.weight is None and not weight.exists():
        raise InputError(f"{weight}, which {place} was built with, is gone: name it by --weight")
    overrides = [*_of_features(facts["overrides"]), *content.overrides]
    model = load_extractor(weight, content.device, overrides)
    check_model(index, place, model.fingerprint, weight)
    return model


def check_model(index: SearchIndex, place: str, fingerprint: str, source: Path) -> None:
    """Raises InputError if features are of another model than those of an index.

    Args:
        index: The index.
        place: Where it is.
        fingerprint: Of the features; "" if nobody knows.
        source: Where they are from.
    """
    facts = index.facts
    if facts["fingerprint"] and fingerprint and facts["fingerprint"] != fingerprint:
        built = f" ({facts['weight']})" if facts["weight"] else ""
        raise InputError(
            f"{place} was built with another model than {source}: its features have the fingerprint"
            f" {facts['fingerprint']}{built}, these have {fingerprint}; features of two models"
            " cannot be compared"
        )


def _add(
    index: SearchIndex,
    content: Content,
    model: FeatureExtractor | None,
    report: Callable[[str], None],
) -> None:
    failed: list[str] = []
    if content.features is not None:
        saved = read_features(content.features)
        images = named_images(saved.paths)
        known = index.known(images.paths)
        for start in range(0, len(images), COMMIT):
            part = np.arange(start, min(start + COMMIT, len(images)))
            _keep(index, images, part[~known[part]], np.asarray(saved.feats))
    else:
        assert model is not None
        images = list_images(content.sources)
        known = index.known(images.paths)
        skip = load_cfg(None, [*content.overrides]).DATALOADER.ON_ERROR == "skip"
        failed = _embed(index, images, np.flatnonzero(~known), model, skip, report)
        if failed:
            report(unreadable_text(failed, len(images)))
    already = f", {int(known.sum())} were there" if known.any() else ""
    added = int((~known).sum()) - len(failed)
    report(f"{added} images added{already}; the index has {index.facts['rows']}")


def _embed(
    index: SearchIndex,
    images: ImageList,
    places: np.ndarray,
    model: FeatureExtractor,
    skip: bool,
    report: Callable[[str], None],
) -> list[str]:
    """Embeds images in one stream, and keeps them in parts; returns what could not be read."""
    waiting: list[np.ndarray] = []
    own: list[int] = []
    failed: list[ImageError] = []
    kept = 0
    paths = [images.paths[place] for place in places.tolist()]
    for batch in model.embed_batches(paths, skip=True):
        waiting.append(batch.feats)
        own += batch.places
        failed += [one.error for one in batch.failed]
        if len(own) >= COMMIT:
            kept += _keep(index, images, places[own], np.concatenate(waiting), packed=True)
            report(f"kept: {kept} of {len(places)}")
            waiting, own = [], []
        if failed and not skip:
            break
    if own:  # whatever could not be read: what is embedded is not lost
        kept += _keep(index, images, places[own], np.concatenate(waiting), packed=True)
    if failed and not skip:
        raise InputError(
            f"{failed[0]}; {kept} images are kept: mend it, or set DATALOADER.ON_ERROR skip, and go"
            " on with reid index add"
        ) from failed[0]
    return [str(error) for error in failed]


def _keep(
    index: SearchIndex,
    images: ImageList,
    places: np.ndarray,
    feats: np.ndarray,
    packed: bool = False,
) -> int:
    """Adds images to the index; they are kept when it returns.

    Args:
        index: The index.
        images: All images.
        places: (n,) which of them.
        feats: (n, D) their features if ``packed``, else those of all images.
        packed: See ``feats``.
    """
    chosen = places.tolist()
    if not chosen:
        return 0
    rows = make_rows(
        feats if packed else feats[places],
        [images.paths[place] for place in chosen],
        [images.identities[place] for place in chosen],
        [images.cameras[place] for place in chosen],
        [images.times[place] for place in chosen],
    )
    return index.add(rows)


def remove_from_index(
    place: str,
    words: Sequence[str],
    identities: Sequence[str],
    cameras: Sequence[str],
    report: Callable[[str], None] = print,
) -> None:
    """Removes images from an index; the files may be gone already.

    Args:
        place: The index.
        words: Paths of images, folders with all that lies below, or patterns.
        identities: People whose images are removed.
        cameras: Cameras whose images are removed.
        report: Is told what was done.

    Raises:
        InputError: Nothing in the index is meant by one of the words.
    """
    if not (words or identities or cameras):
        raise InputError("name what to remove: paths, folders, patterns, --identity or --camera")
    with closing(open_index(place)) as index:
        found: list[str] = []
        paths = index.paths() if words else []
        for word in words:
            whole = os.path.abspath(os.path.expanduser(word))
            below = os.path.join(whole, "")
            meant = [p for p in paths if p in (whole, word) or p.startswith(below)]
            meant = meant or fnmatch.filter(paths, whole)
            if not meant:
                raise InputError(f"{place} has no image {word}")
            found += meant
        named = index.named(identities, cameras) if identities or cameras else []
        if not words and not named:
            raise InputError(f"{place} has no image of {', '.join([*identities, *cameras])}")
        count = index.remove(list(dict.fromkeys([*found, *named])))
        report(f"{count} images removed; the index has {index.facts['rows']}")


def index_info(place: str, check: bool = False) -> str:
    """Returns what is known of an index, a line for each fact.

    Args:
        place: The index.
        check: Read all files, and compare their checksums.

    Raises:
        InputError: There is no such index, or it is damaged.
    """
    with closing(open_index(place)) as index:
        lines = [f"{name:<12} {value}" for name, value in index.facts.items()]
        if check and isinstance(index, LocalIndex):
            index.check()
            lines.append("all checksums are right")
    return "\n".join(lines)
