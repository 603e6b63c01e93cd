"""MSMT17: 4 101 identities, 15 cameras (Wei et al., CVPR 2018); V2 has blurred faces."""

from pathlib import Path
from typing import Literal, TypeAlias

from reid.data.datasets.registry import DATASETS
from reid.data.layout import find_home, look, notes_of
from reid.data.presence import missing
from reid.data.records import Counts, ImageRecord, Records, Splits, check_splits
from reid.utils.errors import InputError

Version: TypeAlias = Literal["v1", "v2"]
# Folders of the pictures of train and test, by version.
FOLDERS = {"v1": ("train", "test"), "v2": ("mask_train_v2", "mask_test_v2")}
LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
NUM_CAMERAS = 15
TRAIN_PIDS = 1041  # both parts number their people from 0
# The authors train on list_train.txt and list_val.txt together.
PUBLISHED = {
    "train": Counts(32621, 1041, 15),
    "query": Counts(11659, 3060, 15),
    "gallery": Counts(82161, 3060, 15),
}
WITHOUT_VAL = {**PUBLISHED, "train": Counts(30248, 1041, 15)}


@DATASETS.register("msmt17")
def msmt17(root: Path, train: bool, version: Version = "v1", train_on_val: bool = True) -> Splits:
    """Loads MSMT17 by its lists; the people of the test get the pids from 1041 on.

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training images are needed.
        version: `v1`, or `v2` with blurred faces (folders mask_train_v2 and mask_test_v2).
        train_on_val: Train on list_val.txt, too, which shows the people of list_train.txt; some
            frameworks leave these 2 373 images out.
    """
    name = f"MSMT17_{version.upper()}"
    homes = (name, f"msmt17/{name}", f"MSMT17/{name}", "MSMT17", "msmt17", ".")
    source = "Ask its authors for it; DATASETS.MSMT17.VERSION says which version is wanted."
    home, _ = find_home(root, homes, [(*FOLDERS[version], *LISTS)], name, source)
    train_folder, test_folder = (home / folder for folder in FOLDERS[version])
    trained: list[ImageRecord] = []
    for file in LISTS[: 2 if train_on_val else 1] if train else ():
        trained += _read(home / file, train_folder, 0)
    query, gallery = (_read(home / file, test_folder, TRAIN_PIDS) for file in LISTS[2:])
    notes = {
        "train": notes_of(look(train_folder), names_are_unique=False) if train else [],
        "query": [],
        "gallery": notes_of(look(test_folder), names_are_unique=False),
    }
    published = PUBLISHED if train_on_val else WITHOUT_VAL
    splits = Splits(tuple(sorted(trained)), query, gallery, notes=notes, published=published)
    return check_splits(splits, name)


def _read(file: Path, folder: Path, first_pid: int) -> Records:
    """Reads a list; the third field of a name is the camera.

    Args:
        file: The list, with lines such as ``0000/0000_000_01_0303morning_0008_0.jpg 0``.
        folder: Folder of the pictures.
        first_pid: Added to the number at the end of a line.

    Raises:
        InputError: A line is of another form, or an image is not there.
    """
    records = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, pid = line.rpartition(" ")
        fields = Path(name).name.split("_")
        known = pid.isdecimal() and len(fields) > 3 and fields[2].isdecimal()
        if not known or Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(
                f"{file}, line {number}: expected such as"
                f" 0000/0000_000_01_0303morning_0008_0.jpg 0, got {line[:100]!r}"
            )
        camera = int(fields[2])
        if not 1 <= camera <= NUM_CAMERAS:
            raise InputError(f"{file}, line {number}: camera {camera}, but there are {NUM_CAMERAS}")
        records.append(ImageRecord(folder / name.strip(), first_pid + int(pid), camera - 1))
    absent = missing([str(record.path) for record in records])
    if absent:
        raise InputError(
            f"{file} lists {len(records)} images, and {len(absent)} of them do not exist (first:"
            f" {records[absent[0]].path})"
        )
    return tuple(sorted(records))
