"""What the network is shown: the first batch, and where a regularizer overwrites it."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torchvision.utils import make_grid

from reid.utils.batch import Batch, to_unit

SHOWN = 16


class _Recorder(nn.Module):
    """Passes a map on and keeps, per image, the share of channels that the regularizer changed."""

    def __init__(self, regularizer: nn.Module) -> None:
        super().__init__()
        self.regularizer = regularizer
        self.changed = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.regularizer(x)
        self.changed = (x != y).float().mean(1, keepdim=True)
        return y


def first_batch_pictures(
    model: nn.Module, loader: Iterable[Batch], device: torch.device
) -> Iterator[tuple[str, Tensor]]:
    """Yields (name, (3, H, W) picture in [0, 1]) of the first batch and of each masked stage.

    Only the regularizers are in training mode meanwhile, so that no running statistic moves. The
    mask pictures show, for each image, the share of channels changed at each place (white: all).
    """
    images = to_unit(next(iter(loader)).images[:SHOWN]).to(device)
    yield "input", make_grid(images, nrow=8)
    was_training = model.training
    model.eval()
    originals = dict(model.regularizers.items())  # type: ignore[operator, union-attr]
    recorders = {stage: _Recorder(part.train()) for stage, part in originals.items()}
    try:
        model.regularizers.update(recorders)  # type: ignore[operator, union-attr]
        with torch.no_grad():
            model(images)
    finally:
        model.regularizers.update(originals)  # type: ignore[operator, union-attr]
        model.train(was_training)
    for stage, recorder in recorders.items():
        if recorder.changed.shape[-1] > 1:
            yield f"masked share/{stage}", make_grid(recorder.changed, nrow=8)
