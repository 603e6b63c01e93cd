"""Adversarial training: replaces some images of each batch by images that mislead the model."""

from typing import Annotated

import torch
from torch import Tensor, nn

from reid.evaluation.features import eval_mode
from reid.robustness.attacks.ascent import ascend
from reid.robustness.ball import LEVELS, Linf
from reid.utils.checks import Count, Range, Share, StepSize, check_count, check_range


class AdversarialTraining:
    """Changes pixels, within a bound, so that the feature moves away from that of the clean image.

    It raises the squared distance of the two features by projected gradient ascent from a random
    start. Both features come from the current model in eval mode, so that running statistics do
    not change and regularizers are off. The label stays that of the clean image.

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks",
    arXiv:1706.06083; the distance is the self metric attack of Bouniot et al., "Vulnerability of
    Person Re-Identification Models to Metric Adversarial Attacks", CVPR workshops 2020.
    Differs: Madry et al. raise the training loss, and replace all images (``share`` 1).

    Args:
        eps_255: Largest change of a pixel, in 1/255 of its range.
        step: Size of a step in units of eps_255.
        steps: Number of steps.
        share: Fraction of the batch that is replaced; 0.5 replaces every second image.

    Raises:
        ArgumentError: A setting is out of range.
    """

    def __init__(
        self,
        eps_255: Annotated[float, Range(0, 255, above=True)] = 4.0,
        step: StepSize = 0.4,
        steps: Count = 4,
        share: Share = 0.5,
    ) -> None:
        check_range("eps_255", eps_255, 0, 255)
        check_range("step", step, 0)
        check_count("steps", steps)
        check_range("share", share, 0, 1)
        self.eps_255 = eps_255
        self.step = step
        self.steps = steps
        self.share = share

    def __call__(self, embed: nn.Module, images: Tensor, seed: int) -> Tensor:
        """Returns a batch, (B, 3, H, W) in [0, 1], in which some images are replaced.

        It changes neither ``embed`` nor ``images``, and the CPU never waits for the GPU.

        Args:
            embed: Maps (B, 3, H, W) to (B, D) of length 1, for example
                :class:`reid.evaluation.features.Embedding`.
            images: (B, 3, H, W) float in [0, 1].
            seed: Seed of the random start, which is the same on every device.
        """
        rows = spread(round(self.share * len(images)), len(images), images.device)
        if not len(rows) or not self.eps_255:
            return images
        clean = images[rows].contiguous(memory_format=torch.channels_last)
        ball = Linf(self.eps_255 / LEVELS)
        start = ball.project(clean + ball.eps * uniform(clean, seed), clean)
        with eval_mode(embed):
            with torch.no_grad():
                clean_feats = embed(clean)
            attacked = ascend(
                lambda x: (embed(x) - clean_feats).square().sum(1),
                start,
                clean,
                ball,
                self.steps,
                self.step,
            )
        out = images.clone()  # keeps the memory format, which index_copy does not
        out[rows] = attacked
        return out


def spread(count: int, size: int, device: torch.device) -> Tensor:
    """Returns ``count`` = N of the indices 0..size - 1, evenly spaced, as (N,) int64.

    A batch holds the K images of an identity side by side. Even spacing takes the same fraction of
    every identity.

    Args:
        count: Number of indices, at most ``size``.
        size: Number of indices to choose from.
        device: Device of the result.
    """
    return (2 * torch.arange(count, device=device) + 1) * size // (2 * max(1, count))


def uniform(like: Tensor, seed: int) -> Tensor:
    """Draws uniform numbers from [-1, 1) on the CPU and moves them to the device of ``like``.

    Args:
        like: (B, 3, H, W); the result has its shape, dtype and device.
        seed: Seed of the numbers.
    """
    noise = torch.rand(like.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    # Without pinning, the copy waits for the GPU.
    noise = noise.pin_memory() if like.is_cuda else noise
    return noise.to(like.device, like.dtype, non_blocking=True)
