"""Occluded-Duke: DukeMTMC-reID re-sorted so that each query is occluded (Miao et al., ICCV 2019).

Its pictures are those of DukeMTMC-reID, which its authors withdrew in 2019. This file reads a copy
that you already have; it links to none and downloads none.
"""

from pathlib import Path

from reid.data.datasets.registry import DATASETS
from reid.data.layout import load_folders
from reid.data.records import Counts, Splits

# Folders below root in which other frameworks put it; with "." root is the data set itself.
HOMES = (
    "Occluded_Duke",
    "Occluded-DukeMTMC-reID",
    "Occluded-Duke",
    "occluded_duke",
    "occluded-duke",
    "dukemtmcreid/Occluded_Duke",
    ".",
)
PUBLISHED = {
    "train": Counts(15618, 702, 8),
    "query": Counts(2210, 519, 8),
    "gallery": Counts(17661, 1110, 8),
}


@DATASETS.register("occluded_duke")
def occluded_duke(root: Path, train: bool) -> Splits:
    """Loads Occluded-Duke from any of the usual folder layouts under ``root``.

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training images are needed.
    """
    source = "Its pictures are of DukeMTMC-reID, which its authors withdrew; see docs/data.md."
    return load_folders(root, train, HOMES, 8, "Occluded-Duke", source, published=PUBLISHED)
