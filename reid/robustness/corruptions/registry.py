"""The table of corruptions."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from reid.utils.registry import Registry

# (images, severity, rngs) -> images; what each keeps to is said in reid/robustness/corruptions.
Corruption = Callable[[Tensor, int, Sequence[np.random.Generator]], Tensor]

CORRUPTIONS: Registry[Corruption] = Registry("corruption", facts=("images", "severity", "rngs"))
