"""VIPeR: 632 people, one picture from each of two cameras (Gray, Brennan & Tao, PETS 2007)."""

import re
from pathlib import Path

from reid.data.datasets.registry import DATASETS
from reid.data.layout import find_home
from reid.data.pairs import by_view, half_split, read_views
from reid.data.records import Counts, ImageRecord, Records, Splits

HOMES = ("VIPeR", "viper/VIPeR", "viper", "VIPeR.v1.0", "VIPeR_m", ".")
VIEWS = ("cam_a", "cam_b")
NAME = re.compile(r"^(\d+)_\d+$")  # person and angle: cam_a/001_45.bmp
FLAT = re.compile(r"^(\d{4})000([12])$")  # person and camera, from 1: 00010002.png
FIRST = ("00010001.png", "00010002.png")
PUBLISHED = {
    "train": Counts(632, 316, 2),
    "query": Counts(316, 316, 1),
    "gallery": Counts(316, 316, 1),
}


@DATASETS.register("viper")
def viper(root: Path, train: bool, split: int) -> Splits:
    """Loads VIPeR by a random split: half of the people to train, camera a searches in camera b.

    Results are means over 10 splits or more: DATASETS.SPLIT 0 to 9.

    Args:
        root: Folder of the data sets, or of this data set.
        train: Whether the training images are needed.
        split: Number of the random split.
    """
    source = "Its page is that of the vision group of UC Santa Cruz."
    home, layout = find_home(root, HOMES, [VIEWS, FIRST], "VIPeR", source)
    views = read_views(home, VIEWS, NAME) if layout is VIEWS else _flat(home)
    return half_split(views, home, "viper", split, train)._replace(published=PUBLISHED)


def _flat(home: Path) -> tuple[Records, Records]:
    found = [(path, FLAT.match(path.stem)) for path in sorted(home.glob("*.png"))]
    return by_view(
        ImageRecord(path, int(match[1]), int(match[2]) - 1) for path, match in found if match
    )
