"""One file per data set: a function ``(root, train, ...) -> Splits``.

An argument with a default is a hyper-parameter (config key ``DATASETS.<NAME>.<ARGUMENT>``).
"""

from reid.data.datasets.registry import DATASETS, takes_split
from reid.utils.registry import import_submodules

import_submodules(__name__)

__all__ = ["DATASETS", "takes_split"]
