"""PRID 2011, single-shot: 385 people in camera a, 749 in b, the first 200 in both (Hirzer et al.,
SCIA 2011).
"""

import re
from pathlib import Path

from reid.data.datasets.registry import DATASETS
from reid.data.layout import find_home
from reid.data.pairs import half_split, read_views, whole_test
from reid.data.records import Counts, Splits
from reid.utils.errors import ArgumentError

HOMES = (
    "prid_2011/single_shot",
    "prid2011/prid_2011/single_shot",
    "prid_2011",
    "prid2011",
    "prid",
    "single_shot",
    ".",
)
VIEWS = ("cam_a", "cam_b")
NAME = re.compile(r"^person_(\d+)$")
IN_BOTH = 200
PUBLISHED = {
    "train": Counts(200, 100, 2),
    "query": Counts(100, 100, 1),
    "gallery": Counts(649, 649, 1),
}
PUBLISHED_ALL = {"query": Counts(200, 200, 1), "gallery": Counts(749, 749, 1)}


@DATASETS.register("prid2011")
def prid2011(root: Path, train: bool, split: int, test_on_all: bool = False) -> Splits:
    """Loads PRID 2011 by a random split: 100 of the 200 people in both cameras to train.

    The other 100 of camera a search in camera b, whose gallery has everybody who is not trained on.

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training images are needed.
        split: Number of the random split.
        test_on_all: Test on all 200 people and the whole gallery of 749, for a model that was
            trained on other data; there is no training split then.
    """
    source = "Its page is that of the ICG of TU Graz."
    home, _ = find_home(root, HOMES, [VIEWS], "PRID 2011", source)
    views = read_views(home, VIEWS, NAME)
    if test_on_all and train:
        raise ArgumentError("test_on_all", "leaves nobody to train on; name the set in TESTS only")
    people = range(1, IN_BOTH + 1)
    if test_on_all:
        return whole_test(views, people)._replace(published=PUBLISHED_ALL)
    splits = half_split(views, home, "prid2011", split, train, people)
    return splits._replace(published=PUBLISHED)
