"""The table of data sets, and the counts that their authors publish."""

from collections.abc import Callable, Mapping

from reid.data.records import Counts, Splits
from reid.utils.registry import Registry, Section

# A data set is a function (root, train) -> Splits. root is DATASETS.ROOT_DIR; train says whether
# the training images are needed. Other arguments need a default and are config keys:
# DATASETS.<NAME>.<ARGUMENT>.
DATASETS: Registry[Callable[..., Splits]] = Registry(
    "data set", Section("DATASETS", ("NAMES", "ROOT_DIR")), facts=("root", "train")
)

# name -> split -> counts; a data set without an entry is not compared.
PUBLISHED: dict[str, Mapping[str, Counts]] = {}
