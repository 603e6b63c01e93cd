"""Small models whose attacks can be worked out by hand."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from reid.evaluation.features import Embedding, Features
from reid.robustness.guides import Case, Guides

SHAPE = (3, 4, 2)
DIM = 5


class Linear(nn.Module):
    """feat = W x + b of the flattened pixels; the logits are the features."""

    def __init__(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        pixels = torch.Size(SHAPE).numel()
        self.weight = nn.Parameter(torch.randn(DIM, pixels, generator=rng, dtype=dtype))
        self.bias = nn.Parameter(torch.randn(DIM, generator=rng, dtype=dtype))

    def forward(self, images: Tensor) -> SimpleNamespace:
        feat = images.flatten(1) @ self.weight.T + self.bias
        return SimpleNamespace(feat=feat, feat_bn=feat, logits=feat)


class Net(nn.Module):
    """A small network with everything that an attack could disturb: batch statistics, dropout."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5),
                nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(DIM),
            )  # fmt: skip
            self.body(torch.rand(4, *SHAPE))

    def forward(self, images: Tensor) -> SimpleNamespace:
        feat = self.body(images)
        return SimpleNamespace(feat=feat, feat_bn=feat, logits=feat)


def linear(normalize: bool = False) -> Embedding:
    """Float64 from end to end: closed forms hold to the last digits."""
    return Exact(Linear(), normalize=normalize).eval()


class Exact(Embedding):
    """Keeps the model's type, which the real one makes float32."""

    def _view(self, images: Tensor) -> Tensor:
        feats: Tensor = self._output(images).feat_bn
        return feats

    def logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self._output(images).logits
        return logits


def images(count: int = 6, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """Images on the 8-bit grid, away from 0 and 1 so that no bound but the ball's is met."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(60, 196, (count, *SHAPE), generator=rng).to(dtype) / 255


def side(embed: Embedding, people: int = 4, each: int = 3, seed: int = 2) -> Features:
    """Features of the other side: person 1.. with ``each`` images by cameras 0.. ."""
    shown = images(people * each, seed, next(embed.parameters()).dtype)
    with torch.no_grad():
        feats = embed(shown)
    pids = torch.arange(1, people + 1).repeat_interleave(each)
    return Features(feats, pids.numpy(), torch.arange(each).repeat(people).numpy())


def case(embed: Embedding, count: int = 6, seed: int = 7) -> Case:
    """The batch ``images(count)`` shows people 1, 2, ... by a camera of its own."""
    pids = torch.arange(count) % 4 + 1
    return Case(pids, torch.full((count,), 9), torch.arange(count), Guides(side(embed), seed))
