"""Market-1501: 1 501 identities, 6 cameras (Zheng et al., ICCV 2015)."""

from pathlib import Path

from reid.data.datasets.registry import DATASETS
from reid.data.layout import load_folders
from reid.data.records import Counts, Splits

# Folders below root in which other frameworks put it; with "." root is the data set itself.
HOMES = (
    "market1501",
    "Market-1501-v15.09.15",
    "market1501/Market-1501-v15.09.15",
    "Market-1501",
    "Market1501",
    "Market",
    "market",
    ".",
)
# The gallery is counted without its 3 819 junk crops; its ids are 750 and the distractor 0.
PUBLISHED = {
    "train": Counts(12936, 751, 6),
    "query": Counts(3368, 750, 6),
    "gallery": Counts(15913, 751, 6),
}


@DATASETS.register("market1501")
def market1501(root: Path, train: bool) -> Splits:
    """Loads Market-1501 from any of the usual folder layouts under ``root``.

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training images are needed.
    """
    source = "datasets/README.md says where to get it and how to place it."
    return load_folders(root, train, HOMES, 6, "Market-1501", source, 0, PUBLISHED)
