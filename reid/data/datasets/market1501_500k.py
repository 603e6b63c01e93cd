"""Market-1501 with the 500 000 distractors in its gallery (Zheng et al., ICCV 2015)."""

from pathlib import Path

from reid.data.datasets.market1501 import HOMES, PUBLISHED, market1501
from reid.data.datasets.registry import DATASETS
from reid.data.layout import FoldersNotFoundError, Found, look, notes_of, parse_name
from reid.data.records import JUNK_PID, Counts, ImageRecord, Records, Splits
from reid.utils.errors import InputError

DISTRACTOR_PID = 0
# Below the folder of Market-1501, or beside it; distractors_500k.zip unpacks to "images".
FOLDERS = ("images", "distractors_500k/images", "distractors_500k", "distractors")
NUMBER = 500_000
GALLERY = PUBLISHED["gallery"]
PUBLISHED_500K = {
    **PUBLISHED,
    "gallery": Counts(GALLERY.images + NUMBER, GALLERY.ids, GALLERY.cameras),
}


@DATASETS.register("market1501_500k")
def market1501_500k(root: Path, train: bool) -> Splits:
    """Loads Market-1501, and adds the distractors to its gallery.

    Args:
        root: Folder of the data sets, or of Market-1501.
        train: Whether the training images are needed.
    """
    splits = market1501(root, train)
    folder = _distractors(root)
    found = look(folder)
    gallery = (*splits.gallery, *_records(folder, found))
    notes = {**splits.notes, "gallery": [*splits.notes["gallery"], *notes_of(found)]}
    return splits._replace(gallery=gallery, notes=notes, published=PUBLISHED_500K)


def _distractors(root: Path) -> Path:
    places = [root / home / folder for home in (*HOMES, ".") for folder in FOLDERS]
    for place in places:
        if place.is_dir():
            return place
    raise FoldersNotFoundError(
        f"Market-1501 + 500k: none of the folders {', '.join(FOLDERS)} is in the folder of"
        f" Market-1501 or in {root}. Unpack distractors_500k.zip there."
    )


def _records(folder: Path, its: Found) -> Records:
    """Returns the distractors, which are pid 0; junk (-1) is dropped, and nobody else may be there.

    Args:
        folder: Folder of the distractors.
        its: What lies in it.

    Raises:
        InputError: There is no image, or the name of one has the pid of a person.
    """
    found = []
    for path in sorted(its.images, key=str):  # to compare half a million paths takes minutes
        pid, camid = parse_name(path)
        if pid not in (JUNK_PID, DISTRACTOR_PID):
            raise InputError(
                f"{path}: identity {pid} among the distractors, which are 0000 or -1; this folder"
                " is none of distractors"
            )
        if pid == DISTRACTOR_PID:
            found.append(ImageRecord(path, pid, camid))
    if not found:
        raise InputError(f"{folder}: no distractor (0000_c1s1_000151_01.jpg) in this folder")
    return tuple(found)
