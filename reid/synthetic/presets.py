"""How large a synthetic set is."""

from typing import NamedTuple


class Preset(NamedTuple):
    """Numbers of cameras, identities and images of one set.

    Attributes:
        num_cams: Cameras, shared by all splits.
        train_ids: Identities in bounding_box_train.
        train: Images in bounding_box_train.
        test_ids: Identities in query and gallery.
        query: Images in query, one for each (identity, camera) pair that exists.
        matches: Gallery images of the test identities.
        distractors: Gallery images with pid 0: passers-by and false alarms.
        junk: Gallery images with pid -1: bad crops of the test identities.
    """

    num_cams: int
    train_ids: int
    train: int
    test_ids: int
    query: int
    matches: int
    distractors: int
    junk: int

    @property
    def gallery(self) -> int:
        """Returns the number of files in bounding_box_test."""
        return self.matches + self.distractors + self.junk


PRESETS = {
    "tiny": Preset(
        num_cams=3,
        train_ids=8,
        train=50,
        test_ids=8,
        query=18,
        matches=46,
        distractors=8,
        junk=6,
    ),
    "quick": Preset(
        num_cams=6,
        train_ids=150,
        train=1800,
        test_ids=100,
        query=300,
        matches=1090,
        distractors=150,
        junk=60,
    ),
    # The counts of Market-1501 (Zheng et al., ICCV 2015) as its released folders hold them.
    "market-scale": Preset(
        num_cams=6,
        train_ids=751,
        train=12936,
        test_ids=750,
        query=3368,
        matches=13115,
        distractors=2798,
        junk=3819,
    ),
}
