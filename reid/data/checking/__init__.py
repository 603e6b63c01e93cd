"""Looks at every image of a data set, and says what would spoil a result."""

from reid.data.checking.findings import Example, Finding, Findings
from reid.data.checking.reading import Picture, read_picture, read_pictures
from reid.data.checking.rules import RULES, check_images

__all__ = [
    "RULES",
    "Example",
    "Finding",
    "Findings",
    "Picture",
    "check_images",
    "read_picture",
    "read_pictures",
]
