"""Universal perturbations inside the evaluation: no image meets one that was learned on it.

The identities are divided into two halves. Each half has a perturbation that was learned on the
images of the other half, so that every image is attacked and no person is seen before.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from reid.robustness.attack import Perturber
from reid.robustness.attacks.ascent import gradient
from reid.robustness.attacks.universal import Universal
from reid.robustness.guides import Case
from reid.robustness.rngs import ImageRNGs
from reid.utils.batch import Batch, to_unit

HALVES = 2


@dataclass
class UniversalPerturber(Perturber):
    """A :class:`reid.robustness.attack.Perturber` that learns before it perturbs.

    Attributes:
        shared: (2, 3, H, W), the perturbation of each half; None before :meth:`learn`.
    """

    shared: Tensor | None = field(default=None, init=False)

    def learn(self, batches: Iterable[Batch], device: torch.device) -> None:
        """Learns the perturbations.

        Args:
            batches: All images of the attacked side; read once for each step.
            device: Device of the model.
        """
        method = self.attack.method
        assert isinstance(method, Universal)
        first = next(iter(batches)).images[:1].to(device)
        start = torch.zeros_like(to_unit(first)).expand(HALVES, -1, -1, -1)

        def slope(shared: Tensor, step: int) -> Tensor:
            total = torch.zeros_like(shared)
            for batch in batches:
                self._add_slopes(total, shared, step, batch)
            return total

        self.shared = method.learn(slope, start)

    def _add_slopes(self, total: Tensor, shared: Tensor, step: int, batch: Batch) -> None:
        """Adds the gradients of a batch to those of both perturbations, (2, 3, H, W).

        Args:
            total: (2, 3, H, W), changed in place.
            shared: (2, 3, H, W) perturbations.
            step: Number of the step.
            batch: Images, identities, cameras and positions.
        """
        method = self.attack.method
        assert isinstance(method, Universal)
        found = self.case_of(batch, total.device)
        if found is None:
            return
        rows, case = found
        clean = to_unit(batch.images.to(total.device))[rows]
        clean = clean.contiguous(memory_format=torch.channels_last)
        rngs = ImageRNGs(self.seed, case.indices.tolist())
        learned_by = 1 - self._half(case)
        loss = self.attack.stage(self.embed, clean, case, rngs, step, method.steps)
        _, slopes = gradient(loss, method.apply(clean, shared[learned_by]))
        total.index_add_(0, learned_by, slopes)

    def _half(self, case: Case) -> Tensor:
        """Returns the half of each image, (B,) int64: identities take turns in order."""
        return torch.searchsorted(case.guides.identities, case.pids) % HALVES

    def _attack(self, clean: Tensor, case: Case, rngs: ImageRNGs) -> Tensor:
        method = self.attack.method
        assert isinstance(method, Universal)
        assert self.shared is not None
        return method.apply(clean, self.shared[self._half(case)])
