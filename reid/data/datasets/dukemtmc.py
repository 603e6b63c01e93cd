"""DukeMTMC-reID: 1 404 identities, 8 cameras (Ristani et al. 2016; Zheng et al., ICCV 2017).

The authors withdrew the data set in 2019. This file reads a copy that you already have; it links to
none and downloads none.
"""

from pathlib import Path

from reid.data.datasets.registry import DATASETS
from reid.data.layout import load_folders
from reid.data.records import Counts, Splits

# Folders below root in which other frameworks put it; with "." root is the data set itself.
HOMES = (
    "dukemtmc-reid/DukeMTMC-reID",
    "DukeMTMC-reID",
    "dukemtmcreid/DukeMTMC-reID",
    "dukemtmcreid",
    "dukemtmc-reid",
    "dukemtmc",
    ".",
)
PUBLISHED = {
    "train": Counts(16522, 702, 8),
    "query": Counts(2228, 702, 8),
    "gallery": Counts(17661, None, 8),
}


@DATASETS.register("dukemtmc")
def dukemtmc(root: Path, train: bool) -> Splits:
    """Loads DukeMTMC-reID from any of the usual folder layouts under ``root``.

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training images are needed.
    """
    source = "Its authors withdrew it; datasets/README.md says how a copy is laid out."
    return load_folders(root, train, HOMES, 8, "DukeMTMC-reID", source, published=PUBLISHED)
