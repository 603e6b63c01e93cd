"""A trained model that takes images of any kind and returns their features."""

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from reid.embedding.batches import Failed, PixelBatch, batches
from reid.embedding.boxes import crops
from reid.embedding.fingerprint import model_fingerprint
from reid.embedding.inputs import Pictures, pictures
from reid.evaluation.features import Embedding
from reid.utils.batch import to_unit
from reid.utils.checks import check_count
from reid.utils.errors import InputError

PATIENCE = 5  # seconds after which a progress bar is shown


class FeatureBatch(NamedTuple):
    """Features of some images.

    Attributes:
        feats: (B, D) float32.
        places: Place of each image among all, B of them.
        failed: Images in between that cannot be read.
    """

    feats: np.ndarray
    places: list[int]
    failed: list[Failed]


class FeatureExtractor:
    """Maps images to the features that ``reid test`` compares; :func:`reid.load` makes one.

    Its attributes are its arguments.

    Args:
        embedding: Maps (B, 3, H, W) pixels in [0, 1] to (B, D), by a ``model`` that knows its
            ``feat_dim``; it is put into eval mode, and kept in it.
        size: (height, width) in pixels.
        device: Where ``embedding`` is.
        batch_size: Images at a time.
        threads: Number of threads that decode and resize.
        config: Config of the model as YAML text.
        source: Name of the weights, for messages.
    """

    def __init__(
        self,
        embedding: Embedding,
        size: tuple[int, int],
        device: torch.device,
        batch_size: int = 128,
        threads: int = 4,
        config: str = "",
        source: str = "",
    ) -> None:
        check_count("batch_size", batch_size)
        self.embedding = embedding.eval()
        self.size = (int(size[0]), int(size[1]))
        self.device = device
        self.batch_size = batch_size
        self.threads = threads
        self.config = config
        self.source = source

    def __repr__(self) -> str:
        height, width = self.size
        return (
            f"FeatureExtractor({self.source or 'a model'}: images of {height}x{width} to"
            f" {self.feat_dim} numbers, on {self.device})"
        )

    @property
    def feat_dim(self) -> int:
        """Length D of a feature."""
        return int(self.embedding.model.feat_dim)  # type: ignore[arg-type]

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; the same for models whose features can be compared."""
        e = self.embedding
        pixels = [
            [round(value, 6) for value in getattr(e.model, name).flatten().tolist()]
            for name in ("pixel_mean", "pixel_std")
        ]
        settings = {
            "size": self.size,
            "field": e.field,
            "normalize": e.normalize,
            "flip": e.flip,
            "pixels": pixels,
        }
        return model_fingerprint(e.model, settings)

    def embed(
        self,
        images: Pictures,
        boxes: np.ndarray | Tensor | Sequence[Sequence[float]] | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Returns the features of images, (N, D) float32, in their order.

        The values are those that ``reid test`` computes. For more images than their features fit
        into memory use :meth:`embed_batches`.

        Args:
            images: An image, a batch, or an iterable of images: paths, PIL images, uint8 arrays
                (H, W, 3) or (N, H, W, 3) in RGB (of OpenCV's frames: ``frame[..., ::-1]``), tensors
                (3, H, W) or (N, 3, H, W) that are uint8 or floating point in [0, 1]; of any size.
            boxes: (N, 4) left, top, right, bottom in pixels: crops of the one image are embedded.
            batch_size: Images at a time; None takes that of the model.

        Raises:
            ImageError: A file cannot be read.
            InputError: Something is no image; its values are not those of pixels; a box holds no
                pixel.
        """
        shown = crops(images, boxes) if boxes is not None else images
        found = [batch.feats for batch in self.embed_batches(shown, batch_size)]
        return np.concatenate(found) if found else np.empty((0, self.feat_dim), np.float32)

    def embed_batches(
        self,
        images: Pictures,
        batch_size: int | None = None,
        skip: bool = False,
    ) -> Iterator[FeatureBatch]:
        """Yields features batch by batch, with memory for a few batches only.

        Decoding goes on in threads while the network computes.

        Args:
            images: As for :meth:`embed`; an iterator is read as batches are asked for.
            batch_size: Images at a time; None takes that of the model.
            skip: Pass over files that cannot be read; the batches say which.

        Raises:
            ImageError: A file cannot be read, and ``skip`` is False.
            InputError: Something is no image, or a feature is not finite.
        """
        step = self.batch_size if batch_size is None else batch_size
        check_count("batch_size", step)
        total = len(images) if isinstance(images, list | tuple | np.ndarray | Tensor) else None
        with tqdm(
            total=total, desc="embedding", leave=False, delay=PATIENCE, disable=None, unit="image"
        ) as bar:
            for batch in self._computed(batches(pictures(images), self.size, step, self.threads)):
                if batch.failed and not skip:
                    raise batch.failed[0].error
                bar.update(len(batch.places) + len(batch.failed))
                yield batch

    def _computed(self, source: Iterator[PixelBatch]) -> Iterator[FeatureBatch]:
        """Computes one batch ahead: the GPU works while its last result is used."""
        waiting: deque[tuple[Tensor, PixelBatch]] = deque()
        for batch in source:
            waiting.append((self._forward(batch.images), batch))
            if len(waiting) > (self.device.type == "cuda"):
                yield self._fetched(*waiting.popleft())
        while waiting:
            yield self._fetched(*waiting.popleft())

    def _forward(self, images: Tensor) -> Tensor:
        if not len(images):
            return torch.empty(0, self.feat_dim)
        if self.device.type == "cuda":
            images = images.pin_memory()
        pixels = images.to(self.device, non_blocking=True)
        pixels = to_unit(pixels) if pixels.dtype == torch.uint8 else pixels
        self.embedding.eval()  # whatever the caller did to the model meanwhile
        with torch.inference_mode():
            feats: Tensor = self.embedding(pixels.contiguous(memory_format=torch.channels_last))
        return feats

    def _fetched(self, feats: Tensor, batch: PixelBatch) -> FeatureBatch:
        found = feats.float().cpu().numpy()
        wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(wrong):
            raise InputError(
                f"the feature of image {batch.places[int(wrong[0])]} is not finite: the weights of"
                f" {self.source or 'the model'} are damaged, or of a training that diverged"
            )
        return FeatureBatch(found, batch.places, batch.failed)
