"""CUHK03 by its new protocol: 1 467 identities, two views (Li et al. 2014; Zhong et al. 2017).

Two layouts are read: CUHK03-NP, in folders as Market-1501, and the pictures and JSON lists that
torchreid makes of cuhk-03.mat.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from reid.data.datasets.registry import DATASETS
from reid.data.layout import LAYOUTS, FoldersNotFoundError, load_folders, not_found
from reid.data.presence import missing
from reid.data.records import SPLITS, Counts, ImageRecord, Records, Splits, check_splits
from reid.utils.errors import InputError
from reid.utils.jsonfile import read_json

Boxes: TypeAlias = Literal["detected", "labeled"]
HOMES = ("cuhk03", "cuhk03-np", "CUHK03-NP", "CUHK03", "cuhk03/cuhk03-np", ".")
RAW = ("cuhk03_release/cuhk-03.mat", "cuhk-03.mat")
# Pair of cameras, person of that pair, view, image: 1_001_1_01.png.
NAME = re.compile(r"^(\d)_(\d{3,4})_([12])_(\d{2})$")
PEOPLE_OF_A_PAIR = 10_000
PUBLISHED = {
    "detected": {
        "train": Counts(7365, 767, 2),
        "query": Counts(1400, 700, 2),
        "gallery": Counts(5332, 700, 2),
    },
    "labeled": {
        "train": Counts(7368, 767, 2),
        "query": Counts(1400, 700, 2),
        "gallery": Counts(5328, 700, 2),
    },
}
_MAX_BYTES = 2**26


@DATASETS.register("cuhk03")
def cuhk03(root: Path, train: bool, boxes: Boxes = "detected") -> Splits:
    """Loads CUHK03 by its new protocol (767 people to train, 700 to test).

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training images are needed.
        boxes: `detected`, by a detector, or `labeled`, drawn by hand: two data sets.
    """
    name = f"CUHK03 ({boxes})"
    for home in HOMES:
        file = root / home / f"splits_new_{boxes}.json"
        if file.is_file():
            return check_splits(_by_list(file, root / home / f"images_{boxes}", train, boxes), name)
    homes = [f"{home}/{boxes}" for home in HOMES]
    try:
        return load_folders(root, train, homes, 2, name, "", published=PUBLISHED[boxes])
    except FoldersNotFoundError as error:
        raise _missing(root, name, boxes) from error


def _missing(root: Path, name: str, boxes: str) -> FoldersNotFoundError:
    raw = [root / home / part for home in HOMES for part in RAW if (root / home / part).is_file()]
    layouts: list[tuple[str, ...]] = [(f"splits_new_{boxes}.json", f"images_{boxes}")]
    layouts += [tuple(f"{boxes}/{part}" for part in layout) for layout in LAYOUTS[:1]]
    source = (
        f"{raw[0]} is the raw file, which is not read here: take CUHK03-NP (folders {boxes}/query"
        f" and so on), or load it once with torchreid, which writes splits_new_{boxes}.json and"
        f" images_{boxes} beside it."
        if raw
        else "Ask its authors for it."
    )
    return not_found(root, HOMES, layouts, name, source)


def _by_list(file: Path, folder: Path, train: bool, boxes: str) -> Splits:
    content = read_json(file, "the list of a split", _MAX_BYTES)
    try:
        parts = [content[0][split] for split in SPLITS]
        found = [_records(part, folder, file) for part in parts[0 if train else 1 :]]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} is no list of a split: [{{train, query, gallery}}], each of [path, pid, camid]"
        ) from error
    records = [record for part in found for record in part]
    absent = missing([str(record.path) for record in records])
    if absent:
        raise InputError(
            f"{file} lists {len(records)} images, and {len(absent)} of them do not exist (first:"
            f" {records[absent[0]].path})"
        )
    query, gallery = found[-2:]
    notes: dict[str, list[str]] = {split: [] for split in SPLITS}
    published = PUBLISHED[boxes]
    return Splits(found[0] if train else (), query, gallery, notes=notes, published=published)


def _records(part: Sequence[Sequence[Any]], folder: Path, file: Path) -> Records:
    """Reads identity and camera from the names, since the list numbers people anew for training.

    The folders in the list are those of the machine that made it.
    """
    records = []
    for path, *_ in part:
        stem = re.split(r"[/\\]", path)[-1]
        match = NAME.match(Path(stem).stem)
        if match is None:
            raise InputError(f"{file}: {json.dumps(stem)}: expected a name such as 1_001_1_01.png")
        pid = int(match[1]) * PEOPLE_OF_A_PAIR + int(match[2])
        records.append(ImageRecord(folder / stem, pid, int(match[3]) - 1))
    return tuple(sorted(records))
