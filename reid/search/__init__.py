"""Indexes of images: add, remove, search; what ``reid index`` runs."""

from reid.search.base import Hit, SearchIndex
from reid.search.filters import Filter
from reid.search.local import LocalIndex
from reid.search.rows import Rows, make_rows

__all__ = ["Filter", "Hit", "LocalIndex", "Rows", "SearchIndex", "make_rows"]
