"""A data set of one's own: a folder for each identity, the camera in front of the name.

root/people/{train,query,gallery}/<pid>/c<camera>_<anything>.jpg; identities count from 0.
"""

from pathlib import Path

from reid.data.datasets import DATASETS
from reid.data.records import ImageRecord, Records, Splits


@DATASETS.register("id_folders")
def id_folders(root: Path, train: bool, folder: str = "people") -> Splits:
    """Loads the folder.

    Args:
        root: Where the data sets are.
        train: Whether the training images are needed.
        folder: Its name.
    """

    def split(name: str) -> Records:
        files = sorted((root / folder / name).glob("*/c*_*.jpg"))
        return tuple(
            ImageRecord(file, int(file.parent.name), int(file.name[1 : file.name.index("_")]))
            for file in files
        )

    return Splits(split("train") if train else (), split("query"), split("gallery"))
