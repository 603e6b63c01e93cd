"""A network of a few layers, pictures of noise, and a trainer of both, where all can be followed.

A network that differs is a subclass with other ``features``.
"""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from reid.data.samplers import SeededIndex
from reid.data.samplers.plan import PlanSampler
from reid.engine.optim import Schedule
from reid.engine.trainer import Trainer
from reid.losses import LOSSES, Criterion
from reid.utils.batch import Batch

PIXELS = 24  # of a picture, 3 x 4 x 2
EACH = 3  # pictures of an identity


class Output(NamedTuple):
    feat: Tensor
    feat_bn: Tensor
    logits: Tensor


class Network(nn.Module):
    """A body that makes features of pixels, and a linear classifier of them."""

    def __init__(self, body: nn.Module, feat_dim: int, ids: int, bias: bool = True) -> None:
        super().__init__()
        self.backbone = body
        self.classifier = nn.Linear(feat_dim, ids, bias=bias)
        self.regularizers = nn.ModuleDict()
        self.seeds: list[int] = []

    def reseed(self, seed: int) -> None:
        self.seeds.append(seed)

    def features(self, images: Tensor) -> Tensor:
        feat: Tensor = self.backbone(images.flatten(1))
        return feat

    def forward(self, images: Tensor) -> Output:
        feat = self.features(images)
        return Output(feat.float(), feat.float(), self.classifier(feat).float())


def labels_of(ids: int) -> list[int]:
    """The label of each picture of so many identities."""
    return [index // EACH for index in range(EACH * ids)]


class Noise(Dataset[Batch]):
    """Pictures that depend on index and augmentation seed."""

    def __getitem__(self, draw: SeededIndex) -> Batch:
        index, seed = draw
        dice = torch.Generator().manual_seed(index + seed % 7)
        return batch_of(torch.randint(256, (3, 4, 2), generator=dice), index // EACH, index)


def batch_of(image: Tensor, label: int, index: int) -> Batch:
    """What a data set gives for one picture of the first camera; the label is the pid, too."""
    return Batch(image.to(torch.uint8), *torch.tensor([label, label, 0, index]).unbind())


def sum_of(*names: str) -> Criterion:
    """The sum of losses of the table."""
    return Criterion({name: LOSSES[name]() for name in names}, [1.0] * len(names))


def trainer(
    folder: Path,
    network: Network,
    images: Dataset[Batch],
    sampler: PlanSampler,
    optimizer: torch.optim.Optimizer,
    **settings: Any,
) -> Trainer:
    """A trainer on the CPU that writes to a folder; ``settings`` are the trainer's arguments."""
    defaults = {
        "criterion": sum_of("ce", "triplet"),
        "schedule": Schedule("multistep", 2),
        "evaluate": lambda: {"mAP": 0.5},
        "pids": list(range(network.classifier.out_features)),
        "max_epochs": 2,
        "seed": 5,
    }
    return Trainer(
        model=network,
        loader=DataLoader(images, batch_sampler=sampler),
        sampler=sampler,
        optimizer=optimizer,
        logger=logging.getLogger("test"),
        output_dir=folder,
        config="SEED: 0\n",
        device=torch.device("cpu"),
        **{**defaults, **settings},
    )
