"""Pictures for TensorBoard: the first batch, and the cells that a regularizer overwrites."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from reid.utils.batch import Batch, to_unit
from reid.visualization.tiles import Tile, draw_tiles

SHOWN = 16
COLUMNS = 8


class _Recorder(nn.Module):
    """Passes a map on and keeps, per image, the fraction of channels that the regularizer changed.

    It compares with a copy: a regularizer may write into the map that it gets.
    """

    def __init__(self, regularizer: nn.Module) -> None:
        super().__init__()
        self.regularizer = regularizer
        self.changed = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        before = x.clone()
        y: Tensor = self.regularizer(x)
        self.changed = (before != y).float().mean(1, keepdim=True)
        return y


def first_batch_pictures(
    model: nn.Module, loader: Iterable[Batch], device: torch.device
) -> Iterator[tuple[str, Tensor]]:
    """Yields (name, (3, H, W) picture in [0, 1]) of the first batch and of each masked stage.

    Meanwhile only the regularizers are in training mode, so that no running statistic changes. The
    mask pictures show, for each image, the fraction of channels changed at each cell (white: all).

    Args:
        model: Model with the attribute ``regularizers``, modules by stage; all modes are restored.
        loader: Loader whose first batch is shown, at most 16 images of it.
        device: Device of the model.
    """
    images = to_unit(next(iter(loader)).images[:SHOWN]).to(device)
    yield "input", _grid(images)
    was_training = model.training
    model.eval()
    originals = dict(model.regularizers.items())  # type: ignore[operator, union-attr]
    recorders = {stage: _Recorder(module.train()) for stage, module in originals.items()}
    try:
        model.regularizers.update(recorders)  # type: ignore[operator, union-attr]
        with torch.no_grad():
            model(images)
    finally:
        model.regularizers.update(originals)  # type: ignore[operator, union-attr]
        model.train(was_training)
    for stage, recorder in recorders.items():
        if recorder.changed.shape[-1] > 1:
            yield f"masked share/{stage}", _grid(recorder.changed)


def _grid(images: Tensor) -> Tensor:
    """Draws (B, 3 or 1, H, W) images in [0, 1] in rows; returns (3, H', W') in [0, 1]."""
    levels = (images * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
    tiles = [Tile(image) for image in levels.permute(0, 2, 3, 1).cpu().numpy()]
    rows = [tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)]
    picture = np.array(draw_tiles(rows, gap=2))
    return torch.from_numpy(picture).permute(2, 0, 1).float() / 255
