"""Pictures of an attack run: curves, attacked images, and sheets that show them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid.data.images import decode
from reid.data.records import Records
from reid.robustness.evaluator import RobustEvaluator
from reid.robustness.images import lossless_names, save_images
from reid.utils.batch import Batch
from reid.visualization.contact_sheet import AttackedQuery, contact_sheet
from reid.visualization.curves import Panel, plot_curves

SHEET_ROWS = 8
METRICS = (("mAP", "mAP, %"), ("rank1", "Rank-1, %"))


class ImageSaver:
    """Saves the first attacked images of a side losslessly, batch by batch.

    Args:
        folder: Folder of the images; each has the name of its source, see
            :func:`reid.robustness.images.lossless_names`.
        count: Number of images; -1 saves all.
        records: Records of the attacked side.
        pids: Identities that are attacked; images of others are not saved.
        as_arrays: Whether to write one npz instead of PNG files. The images then stay in memory
            until :meth:`finish`.
    """

    def __init__(
        self, folder: Path, count: int, records: Records, pids: set[int], as_arrays: bool
    ) -> None:
        wanted = [i for i, record in enumerate(records) if record.pid in pids]
        self.indices = wanted[:count] if count >= 0 else wanted
        self.folder = folder
        self.records = records
        self.names = lossless_names([record.path for record in records])
        self.as_arrays = as_arrays
        self._wanted = torch.tensor(self.indices, dtype=torch.int64)
        self._kept: list[Tensor] = []  # all images for an npz, else those of the sheet

    def __call__(self, images: Tensor, batch: Batch) -> None:
        """Saves those images of a batch that are among the first ``count``.

        Args:
            images: (B, 3, H, W) attacked images in [0, 1].
            batch: The batch, for the positions of the images in the split.
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
        """Writes the npz, if the images are saved as arrays."""
        if self.as_arrays:
            names = self._names(self.indices)
            save_images(self.folder, names, torch.cat(self._kept), as_arrays=True)

    def draw(self, path: Path, evaluator: RobustEvaluator, gallery: Records) -> None:
        """Draws a sheet of clean and attacked queries with their first hits before and after.

        Args:
            path: The PNG file.
            evaluator: Evaluator whose latest attack made the images.
            gallery: Records of the gallery.
        """
        indices = self.indices[:SHEET_ROWS]
        images = torch.cat(self._kept)
        size = tuple(images.shape[2:])
        before, after = (
            evaluator.first_hits(sides, indices) for sides in (evaluator.clean, evaluator.last)
        )
        sheet = []
        for row, index in enumerate(indices):
            record = self.records[index]
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

    def _names(self, indices: Sequence[int]) -> list[str]:
        return [self.names[index] for index in indices]


def pixels(path: Path, size: Sequence[int]) -> np.ndarray:
    """Reads an image as the loaders do, (3, H, W) uint8.

    Args:
        path: The image file.
        size: (height, width) in pixels.
    """
    return np.ascontiguousarray(decode(path, (size[0], size[1])).transpose(2, 0, 1))


def plot_results(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draws each metric against budget, steps and severity; skips charts without results.

    Args:
        path: The PNG file.
        rows: Records of the results; the first is clean.
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
        found = sorted((row for row in rows if row["name"] == name), key=lambda row: row["level"])
        points = [(0.0, clean[key]), *((row["level"], row[key]) for row in found)]
        lines[name] = ([x for x, _ in points], [100 * y for _, y in points])
    return lines
