"""The table of data sets."""

import inspect
from collections.abc import Callable

from reid.data.records import Splits
from reid.utils.registry import Registry, Section

# A data set is a function (root, train) -> Splits. root is DATASETS.ROOT_DIR; train says whether
# the training images are needed; one that has no split of its own may ask for split, the number of
# the random one (DATASETS.SPLIT). Other arguments need a default and are config keys:
# DATASETS.<NAME>.<ARGUMENT>.
DATASETS: Registry[Callable[..., Splits]] = Registry(
    "data set",
    Section("DATASETS", ("NAMES", "TESTS", "ROOT_DIR", "SPLIT")),
    facts=("root", "train", "split"),
)


def takes_split(name: str) -> bool:
    """Says whether a data set is split at random, by the number DATASETS.SPLIT."""
    return "split" in inspect.signature(DATASETS[name]).parameters
