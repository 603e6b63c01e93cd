"""VeRi-776: 776 vehicles, 20 cameras (Liu et al., ECCV 2016; IEEE TMM 2018)."""

from pathlib import Path

from reid.data.datasets.registry import DATASETS
from reid.data.layout import load_folders
from reid.data.records import Counts, Splits

# Folders below root in which other frameworks put it; with "." root is the data set itself.
HOMES = ("VeRi", "veri", "VeRi-776", "veri776", "VeRi_with_plate", ".")
LAYOUT = ("image_train", "image_query", "image_test")  # 0001_c001_00016450_0.jpg
# The numbers of the papers; copies that we know of have an identity less in train.
PUBLISHED = {
    "train": Counts(37778, None, 20),
    "query": Counts(1678, 200, None),
    "gallery": Counts(11579, 200, None),
}


@DATASETS.register("veri776")
def veri776(root: Path, train: bool) -> Splits:
    """Loads VeRi-776, image to image and across cameras.

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training images are needed.
    """
    return load_folders(
        *(root, train, HOMES, 20, "VeRi-776", "Ask its authors for it."),
        published=PUBLISHED,
        layouts=(LAYOUT,),
    )
