"""The table of corruptions."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from reid.utils.registry import Registry

# (images, severity, rngs) -> images; reid/robustness/corruptions/__init__.py has the contract.
Corruption = Callable[[Tensor, int, Sequence[np.random.Generator]], Tensor]

CORRUPTIONS: Registry[Corruption] = Registry("corruption", facts=("images", "severity", "rngs"))
