"""What an attack run draws and keeps: curves, attacked images, and sheets that show them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid.data.images import opened, resize
from reid.data.records import Records
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.images import lossless_name, save_images
from reid.utils.batch import Batch
from reid.visualization.contact_sheet import AttackedQuery, contact_sheet
from reid.visualization.curves import Panel, plot_curves

SHEET_ROWS = 8
METRICS = (("mAP", "mAP, %"), ("rank1", "Rank-1, %"))


class ImageSaver:
    """Writes the first attacked images of a side without loss, batch by batch.

    Args:
        folder: Gets the images, under the names of their sources.
        count: How many; -1 is all.
        records: Of the attacked side.
        pids: Identities that are attacked; images of others are left out.
        as_arrays: One npz instead of PNG files. It is held in memory until the end.
    """

    def __init__(
        self, folder: Path, count: int, records: Records, pids: set[int], as_arrays: bool
    ) -> None:
        wanted = [i for i, record in enumerate(records) if record.pid in pids]
        self.places = wanted[:count] if count >= 0 else wanted
        self.folder, self.records, self.as_arrays = folder, records, as_arrays
        self._wanted = torch.tensor(self.places, dtype=torch.int64)
        self._kept: list[Tensor] = []  # all of them for an npz, else what a sheet shows

    def __call__(self, images: Tensor, batch: Batch) -> None:
        """Keeps the wanted images of a batch.

        Args:
            images: (B, 3, H, W) in [0, 1].
            batch: Their positions in the split.
        """
        rows = torch.isin(batch.indices, self._wanted).nonzero().flatten()
        if not len(rows):
            return
        chosen = images[rows.to(images.device)]
        levels = (chosen * 255).round().to(torch.uint8).contiguous().cpu()
        if not self.as_arrays:
            save_images(self.folder, self._names(batch.indices[rows].tolist()), levels)
        if self.as_arrays or sum(map(len, self._kept)) < SHEET_ROWS:
            self._kept.append(levels)

    def finish(self) -> None:
        """Writes what is written as a whole."""
        if self.as_arrays:
            names = self._names(self.places)
            save_images(self.folder, names, torch.cat(self._kept), as_arrays=True)

    def draw(self, path: Path, evaluator: RobustEvaluator, gallery: Records) -> None:
        """Draws clean and attacked queries with their first hits before and after.

        Args:
            path: The PNG file.
            evaluator: Has the features before and after the attack.
            gallery: Records of the gallery.
        """
        rows, images = self.places[:SHEET_ROWS], torch.cat(self._kept)
        size = tuple(images.shape[2:])
        before, after = (
            evaluator.first_hits(sides, rows) for sides in (evaluator.clean, evaluator.last)
        )
        sheet = []
        for row, place in enumerate(rows):
            record = self.records[place]
            sheet.append(
                AttackedQuery(
                    pixels(record.path, size),
                    images[row].numpy(),
                    [pixels(gallery[i].path, size) for i in before[row]],
                    [pixels(gallery[i].path, size) for i in after[row]],
                    [gallery[i].pid == record.pid for i in before[row]],
                    [gallery[i].pid == record.pid for i in after[row]],
                    record.path.name,
                )
            )
        contact_sheet(sheet, path)

    def _names(self, places: Sequence[int]) -> list[str]:
        return [lossless_name(self.records[place].path.name) for place in places]


def pixels(path: Path, size: Sequence[int]) -> np.ndarray:
    """Reads an image as the loaders do, (3, H, W) uint8.

    Args:
        path: The image file.
        size: (height, width) in pixels.
    """
    with opened(path) as image:
        return np.ascontiguousarray(resize(image, (size[0], size[1])).transpose(2, 0, 1))


def plot_results(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draws metric against budget, steps and severity, as far as there is something to draw.

    Args:
        path: Of the PNG.
        rows: Records of the results, a clean one first.
    """
    plain = [row for row in rows if row["ranking"] == "plain"]
    clean = plain[0]
    attacks = [row for row in plain if row["kind"] in ("attack", "worst")]
    corruptions = [row for row in plain if row["kind"] == "corruption"]
    steps = [{**row, "level": row["steps"]} for row in plain if row["kind"] == "steps"]
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
        plot_curves(panels, path)


def _lines(
    clean: dict[str, Any], rows: Sequence[dict[str, Any]], key: str
) -> dict[str, tuple[list[float], list[float]]]:
    lines = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        own = sorted((row for row in rows if row["name"] == name), key=lambda row: row["level"])
        points = [(0.0, clean[key]), *((row["level"], row[key]) for row in own)]
        lines[name] = ([x for x, _ in points], [100 * y for _, y in points])
    return lines
