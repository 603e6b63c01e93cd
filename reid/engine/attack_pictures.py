"""What an attack run draws and keeps: curves, attacked images, and sheets that show them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid.data.records import Records
from reid.data.transforms import opened, resize
from reid.robustness.images import lossless_name, save_images
from reid.robustness.trial import Trial
from reid.utils.batch import Batch
from reid.visualization.contact_sheet import AttackedQuery, contact_sheet
from reid.visualization.curves import Panel, draw_curves

SHEET_ROWS = 8
METRICS = (("mAP", "mAP, %"), ("rank1", "Rank-1, %"))


class Keeper:
    """Keeps the first images of a side as an attack leaves them.

    Args:
        count: How many; None is all.
        records: Of the attacked side.
    """

    def __init__(self, count: int | None, records: Records) -> None:
        self.count = len(records) if count is None else min(count, len(records))
        self.records, self.images = records, torch.empty(0)
        self._parts: list[Tensor] = []

    def __call__(self, images: Tensor, batch: Batch) -> None:
        """Takes what it wants of a batch; images in [0, 1]."""
        left = self.count - sum(len(part) for part in self._parts)
        if left > 0:
            levels = (images[:left] * 255).round().to(torch.uint8)
            self._parts.append(levels.contiguous().cpu())

    def write(self, folder: Path, as_arrays: bool) -> None:
        """Writes the images without loss, under the names of their sources."""
        self.images = torch.cat(self._parts)
        names = [lossless_name(record.path.name) for record in self.records[: self.count]]
        save_images(folder, names, self.images, as_arrays=as_arrays)

    def draw(self, path: Path, trial: Trial, gallery: Records) -> None:
        """Draws clean and attacked queries with their first hits before and after."""
        rows, size = min(SHEET_ROWS, self.count), tuple(self.images.shape[2:])
        before, after = (trial.first_hits(sides, rows) for sides in (trial.clean, trial.last))
        sheet = []
        for row, record in enumerate(self.records[:rows]):
            sheet.append(
                AttackedQuery(
                    pixels(record.path, size),
                    self.images[row].numpy(),
                    [pixels(gallery[i].path, size) for i in before[row]],
                    [pixels(gallery[i].path, size) for i in after[row]],
                    [gallery[i].pid == record.pid for i in before[row]],
                    [gallery[i].pid == record.pid for i in after[row]],
                    record.path.name,
                )
            )
        contact_sheet(sheet, path)


def pixels(path: Path, size: Sequence[int]) -> np.ndarray:
    """Reads an image as the loaders do, (3, H, W) uint8."""
    with opened(path) as image:
        return np.ascontiguousarray(resize(image, (size[0], size[1])).transpose(2, 0, 1))


def draw_all(path: Path, rows: Sequence[dict[str, Any]], curve: Sequence[dict[str, Any]]) -> None:
    """Draws metric against budget, steps and severity, as far as there is something to draw.

    Args:
        path: Of the PNG.
        rows: Records of the outcomes, a clean one first.
        curve: Records of the outcomes at other numbers of steps, a clean one first.
    """
    plain = [row for row in rows if row["ranking"] == "plain"]
    clean = plain[0]
    attacks = [row for row in plain if row["kind"] in ("attack", "worst")]
    corruptions = [row for row in plain if row["kind"] == "corruption"]
    steps = [{**row, "level": row["steps"]} for row in curve[1:]]
    groups = ((attacks, "eps, levels of 255"), (steps, "steps"), (corruptions, "severity"))
    panels = [
        Panel(
            f"{label.split(',')[0]} against {x.split(',')[0]}", x, label, _lines(clean, found, key)
        )
        for found, x in groups
        for key, label in METRICS
        if found
    ]
    if panels:
        draw_curves(panels, path)


def _lines(
    clean: dict[str, Any], rows: Sequence[dict[str, Any]], key: str
) -> dict[str, tuple[list[float], list[float]]]:
    lines = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        own = sorted((row for row in rows if row["name"] == name), key=lambda row: row["level"])
        points = [(0.0, clean[key]), *((row["level"], row[key]) for row in own)]
        lines[name] = ([x for x, _ in points], [100 * y for _, y in points])
    return lines
