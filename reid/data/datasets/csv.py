"""Your own people, as a list: a CSV file with path, identity and, where known, camera and split."""

from pathlib import Path

from reid.data.crop_lists import read_list
from reid.data.crops import as_splits
from reid.data.datasets.registry import DATASETS
from reid.data.records import Splits
from reid.utils.checks import PathText, Probability
from reid.utils.errors import ArgumentError
from reid.utils.memory import no_garbage


@DATASETS.register("csv")
def csv(
    train: bool,
    split: int,
    file: PathText = "",
    folder: PathText = "",
    train_fraction: Probability = 0.5,
    closed_set: bool = False,
) -> Splits:
    """Loads the crops of a list; where it has no split, a seeded rule makes one.

    Args:
        train: Whether the training images are needed.
        split: Number of the random split.
        file: The list; the first line names its columns: path, identity and, where known, camera
            and split (train, val, query, gallery; or test, which is cut into query and gallery).
        folder: Folder that relative paths begin at; empty is the folder of the list.
        train_fraction: Fraction of the people that a random split trains on; of the images of each
            person, if CLOSED_SET is True.
        closed_set: Whether the people of train may be searched for.
    """
    if not file:
        raise ArgumentError("file", "is empty; name the CSV file that lists the images")
    with no_garbage():
        crops = read_list(Path(file), Path(folder) if folder else None)
        return as_splits(crops, "csv", train, split, train_fraction, closed_set)
