"""Makes batches from decoded pixels, ahead of time; augments them on the CPU or on the GPU."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from reid.data.augmentation.pipeline import GPUAugmenter, Rows, TrainTransform
from reid.data.cache.file import PixelRows
from reid.data.cache.prefetch import prefetch
from reid.data.loaders import Plan
from reid.data.records import Records
from reid.data.samplers import SeededIndex
from reid.utils.batch import Batch

DEPTH = 3  # batches that are made before they are needed


class CachedLoader:
    """Yields the batches of a plan from decoded pixels; the same bits as the per-image loader.

    Images are (B, 3, H, W) with channels_last strides. One thread works ahead while a pass runs.

    Args:
        pixels: (N, H, W, 3) uint8, the decoded images.
        records: The N records that the pixels belong to, in the same order.
        plan: The batches of a pass, a sampler or a list; it is read anew when a pass begins.
        device: Device of the model; for CUDA the batches are pinned, so that copying them overlaps
            with computing.
        label_of: Label of each pid; a pid that is not in it gets -1.
        transform: Augmentations to draw and to apply; None leaves the pixels as they are.
        on_device: Whether to augment on ``device``; the images of a batch are then on it already.
    """

    def __init__(
        self,
        pixels: PixelRows,
        records: Records,
        plan: Plan,
        device: torch.device,
        label_of: Mapping[int, int] | None = None,
        transform: TrainTransform | None = None,
        on_device: bool = False,
    ) -> None:
        self.pixels = pixels
        self.plan = plan
        self.device = device
        self.transform = transform
        self.pinned = device.type == "cuda"
        labels = label_of or {}
        rows = [(labels.get(r.pid, -1), r.pid, r.camid) for r in records]
        self.numbers = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
        self._augment: GPUAugmenter | None = None
        if transform is not None and on_device:
            self._augment = GPUAugmenter(transform, device)

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        made = (self.make(samples) for samples in list(self.plan))
        with contextlib.closing(prefetch(made, DEPTH)) as batches:
            for batch in batches:
                if batch.images.is_cuda:  # it was made on another stream than it is used on
                    batch.images.record_stream(torch.cuda.current_stream(self.device))
                yield batch

    def make(self, samples: Sequence[SeededIndex]) -> Batch:
        """Makes one batch in the calling thread; its images are (B, 3, H, W) uint8."""
        on_device = torch.cuda.device(self.device) if self.pinned else contextlib.nullcontext()
        with on_device:
            indices = torch.tensor([index for index, _ in samples])
            labels, pids, camids = self.numbers[indices].unbind(1)
            columns = (labels.contiguous(), pids.contiguous(), camids.contiguous(), indices)
            numbers = [column.pin_memory() if self.pinned else column for column in columns]
            return Batch(self._images(samples).permute(0, 3, 1, 2), *numbers)

    def _images(self, samples: Sequence[SeededIndex]) -> Tensor:
        """Returns (B, H, W, 3) uint8."""
        shape = (len(samples), *self.pixels.shape[1:])
        out = torch.empty(shape, dtype=torch.uint8, pin_memory=self.pinned)
        # One at a time: what a file gave is still in the processor's cache when it is used.
        images = (self.pixels[index] for index, _ in samples)
        if self.transform is not None and self._augment is None:
            self.transform.on_cpu(images, self._draw_rows(self.transform, samples), out.numpy())
            return out
        for target, image in zip(out.numpy(), images, strict=True):
            target[...] = image
        if self.transform is None or self._augment is None:
            return out
        return self._augment(out, self._draw_rows(self.transform, samples))

    def _draw_rows(self, transform: TrainTransform, samples: Sequence[SeededIndex]) -> list[Rows]:
        return [transform.draw(np.random.default_rng(seed)) for _, seed in samples]
