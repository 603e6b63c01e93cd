"""How a set is drawn, apart from its size and seed."""

from typing import NamedTuple

from reid.synthetic.cameras import CAMERAS
from reid.synthetic.dyes import FEW, MANY, Dyes
from reid.synthetic.plan import TRAIN, Shot
from reid.utils.checks import check_choice

COLORS = ("wide", "narrow")
TEST_CAMERAS = ("same", "other")


class Style(NamedTuple):
    """How a set is drawn.

    Attributes:
        colors: Range of clothes' colours, of light, contrast and colour cast: one of COLORS.
            ``narrow`` is how people were drawn before there was a choice, to the byte.
        test_cameras: Whether query and gallery are seen by the cameras of the training images, or
            by other ones in other places: one of TEST_CAMERAS.
    """

    colors: str = "wide"
    test_cameras: str = "same"

    def check(self) -> None:
        """Raises ArgumentError for a word that is not known."""
        check_choice("colors", self.colors, COLORS)
        check_choice("test_cameras", self.test_cameras, TEST_CAMERAS)

    @property
    def wide(self) -> bool:
        """Returns whether colours and light have a wide range."""
        return self.colors == "wide"

    @property
    def dyes(self) -> Dyes:
        """Returns what the colours of clothes are drawn from."""
        return MANY if self.wide else FEW

    def place(self, shot: Shot) -> int:
        """Returns the place of a shot's camera; those from len(CAMERAS) on are not trained on."""
        other = self.test_cameras == "other" and shot.folder != TRAIN
        return shot.camid + len(CAMERAS) if other else shot.camid


DEFAULT = Style()
