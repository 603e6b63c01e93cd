"""The table of data sets, and the counts that their authors publish."""

from collections.abc import Callable, Mapping

from reid.data.records import Counts, Splits
from reid.utils.registry import Registry

DATASETS: Registry[Callable[..., Splits]] = Registry("data set")

# name -> split -> counts; a data set without an entry is not compared.
PUBLISHED: dict[str, Mapping[str, Counts]] = {}
