"""Adversarial training: a part of each batch is replaced by images made to mislead the model."""

import torch
from torch import Tensor, nn

from reid.evaluation.features import eval_mode
from reid.robustness.attacks.ascent import ascend
from reid.robustness.ball import LEVELS, Linf
from reid.utils.checks import check_count, check_range


class AdversarialTraining:
    """Moves pixels so that the feature leaves the one of the clean image, within a bound.

    Projected gradient ascent from a random start on the squared distance of the two features, both
    of the model as it is now, in eval mode: running statistics stay and regularizers are off. What
    comes out is trained on under the label of the clean image.

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks",
    arXiv:1706.06083; the distance is the self metric attack of Bouniot et al., "Vulnerability of
    Person Re-Identification Models to Metric Adversarial Attacks", CVPR workshops 2020.
    Differs: Madry et al. ascend the training loss, and train on nothing else (``share`` 1).

    Args:
        eps_255: Largest change of a pixel, in 1/255 of its range.
        step: Size of a step / eps_255.
        steps: Number of steps.
        share: Share of the batch that is replaced, every second image if it is 0.5.

    Raises:
        InputError: A setting out of range, by name.
    """

    def __init__(
        self, eps_255: float = 4.0, step: float = 0.4, steps: int = 4, share: float = 0.5
    ) -> None:
        check_range("eps_255", eps_255, 0, 255)
        check_range("step", step, 0)
        check_count("steps", steps)
        check_range("share", share, 0, 1)
        self.eps_255, self.step, self.steps, self.share = eps_255, step, steps, share

    def __call__(self, embed: nn.Module, images: Tensor, seed: int) -> Tensor:
        """Returns the batch with the part replaced; nothing of ``embed`` or ``images`` changes.

        The host never waits for the device.

        Args:
            embed: (B, 3, H, W) to (B, D) of unit length, see
                :class:`reid.evaluation.features.Embedding`.
            images: (B, 3, H, W) float in [0, 1].
            seed: Of the random start, which is the same on every device.
        """
        places = spread(round(self.share * len(images)), len(images), images.device)
        if not len(places) or not self.eps_255:
            return images
        clean = images[places].contiguous(memory_format=torch.channels_last)
        ball = Linf(self.eps_255 / LEVELS)
        start = ball.project(clean + ball.eps * uniform(clean, seed), clean)
        with eval_mode(embed):
            with torch.no_grad():
                own = embed(clean)
            found = ascend(
                lambda x: (embed(x) - own).square().sum(1),
                start,
                clean,
                ball,
                self.steps,
                self.step,
            )
        out = images.clone()  # keeps the memory format, which index_copy does not
        out[places] = found
        return out


def spread(count: int, size: int, device: torch.device) -> Tensor:
    """Returns ``count`` of the indices 0..size - 1, (count,), as evenly apart as whole numbers can
    be.

    So of K neighbours, the images of one identity, just the same share is taken.

    Args:
        count: How many.
        size: Of how many.
        device: Where the result lies.
    """
    return (2 * torch.arange(count, device=device) + 1) * size // (2 * max(1, count))


def uniform(like: Tensor, seed: int) -> Tensor:
    """Draws from [-1, 1) on the CPU, in shape, type and device of ``like``.

    Args:
        like: (B, 3, H, W).
        seed: Of the numbers.
    """
    noise = torch.rand(like.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    noise = noise.pin_memory() if like.is_cuda else noise  # else the copy waits for the device
    return noise.to(like.device, like.dtype, non_blocking=True)
