"""What each of several processes does in tests/test_distributed.py, and one does alone."""

import importlib
import logging
import multiprocessing
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from PIL import Image
from torch import Tensor, nn

from reid.builders.datasets import skip_unreadable
from reid.cli.main import guarded
from reid.data.records import ImageRecord, Splits
from reid.data.samplers import PKSampler
from reid.engine import parallel
from reid.engine.ema import averaged_model
from reid.engine.optim import build_optimizer, parameter_groups
from reid.engine.trainer import Trainer
from reid.evaluation.features import Embedding
from reid.losses import LOSSES, Criterion, Loss
from reid.robustness.adversarial_training import AdversarialTraining
from reid.utils import distributed
from reid.utils.environment import choose_device
from reid.utils.errors import InputError
from reid.utils.signals import Stopped, StopSignals

IDS = 9
FEAT = torch.randn(8, 6, generator=torch.Generator().manual_seed(3))
# Identity 0 is in both halves; 2 and 3 have one image, so their anchors are left out of the mean.
LABELS = torch.tensor([0, 0, 1, 1, 0, 0, 2, 3])
UNEVEN = torch.arange(40) / 7  # running means; a third of three of them rounds
LOSS = {
    "ce": lambda: LOSSES["ce"](),
    "triplet": lambda: LOSSES["triplet"](gather=True),
    "soft": lambda: LOSSES["triplet"](soft_margin=True, gather=True),
    "center": lambda: LOSSES["center"](num_classes=IDS, feat_dim=5),
    "circle": lambda: LOSSES["circle"](gamma=8.0, gather=True),
    "wrt": lambda: LOSSES["wrt"](gather=True),
    "arcface": lambda: LOSSES["arcface"](num_classes=IDS, feat_dim=5),
}


class Proxies(Loss):
    """Cross entropy on products with weights of its own, one row for each identity."""

    consumes = "feat"

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.linspace(-1, 1, IDS * 5).view(IDS, 5))

    def forward(self, feat: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(feat @ self.rows.T, labels)


class Network(small.Network):
    """Parity is without batch normalization, which sees the batch of its own process only."""

    def __init__(self, width: int, norm: type[nn.Module] = nn.LayerNorm) -> None:
        super().__init__(nn.Sequential(nn.Linear(width, 40), norm(40), nn.Linear(40, 5)), 5, IDS)
        self.draws: list[int] = []

    def note(self, images: Tensor, seed: int) -> Tensor:
        """Changes nothing."""
        self.draws.append(seed)
        return images


def trainer(
    folder: Path,
    num_ids: int,
    epochs: int = 2,
    norm: type[nn.Module] = nn.LayerNorm,
    adversary: AdversarialTraining | None = None,
    freeze_epochs: int = 0,
) -> Trainer:
    torch.manual_seed(0)
    place = (distributed.rank(), distributed.world_size())
    network = Network(small.PIXELS, norm)
    sampler = PKSampler(small.labels_of(IDS), num_ids, 2, 1, *place)
    losses = {name: LOSS[name]() for name in ("ce", "triplet", "center")}
    criterion = Criterion({**losses, "proxies": Proxies()}, [1.0, 1.0, 0.01, 1.0])
    groups = parameter_groups(network, 0.01, 1e-3, criterion=criterion, loss_lr_factor=3.0)
    return small.trainer(
        folder,
        network,
        small.Noise(),
        sampler,
        build_optimizer("adam", groups),
        criterion=criterion,
        max_epochs=epochs,
        log_period=1,
        clip_norm=0.5,
        ema=averaged_model(network, 0.8),
        freeze_epochs=freeze_epochs,
        perturb=network.note
        if adversary is None
        else partial(adversary, Embedding(network, "before")),
    )


def gradients(name: str) -> tuple[list[Tensor | None], Tensor]:
    """Gradients and value of one loss on this process's part of the batch; the value averaged."""
    torch.manual_seed(1)
    network, loss = Network(6), LOSS[name]()
    feat, labels = (torch.stack(list(distributed.local_part(x))) for x in (FEAT, LABELS))
    wrapped = parallel.wrap(network, [loss.consumes])
    value = loss(getattr(wrapped(feat), loss.consumes), labels)
    value.backward()
    value = value.detach()
    distributed.average(value)
    return [p.grad for p in network.parameters()], value


def uneven() -> dict[str, Tensor]:
    """Rows of which process r has 3 r, joined; and 11 items dealt out."""
    rank = distributed.rank()
    rows = torch.full((3 * rank, 2), float(rank)) if rank else torch.zeros(0, 0)
    shares = torch.tensor(list(distributed.local_part(range(11))), dtype=torch.int64)
    norm = nn.BatchNorm1d(2)
    norm.running_mean.fill_(rank)
    parallel.average_bn_stats(norm)
    return {
        "rows": distributed.gather_rows(rows),
        "shares": distributed.gather_rows(shares),
        "statistics": norm.running_mean,
    }


def readable(folder: Path) -> list[int]:
    """Of seven images those that every process keeps; 2 and 5 are broken, in different parts."""
    paths = [folder / f"{number}.png" for number in range(7)]
    if distributed.is_main():
        for number, path in enumerate(paths):
            Image.new("RGB", (4, 8)).save(path)
            if number in (2, 5):
                path.write_bytes(b"no image")
    distributed.from_main([0])  # the files are there
    records = tuple(ImageRecord(path, number, 0) for number, path in enumerate(paths))
    splits = Splits((), records[:4], records)
    kept = skip_unreadable(splits, 2, logging.getLogger("test"))
    return [record.pid for record in (*kept.query, *kept.gallery)]


def refusals() -> list[str]:
    messages = []
    for attempt in (
        lambda: parallel.sync_batch_norm(Network(3), torch.device("cpu")),
        lambda: distributed.check_same("the number", str(distributed.rank())),
        lambda: choose_device("cuda:7"),
    ):
        with pytest.raises(InputError) as caught:
            attempt()
        messages.append(str(caught.value))
    distributed.check_same("the text", "the same in all")
    return messages


def stop_one_process(run: Trainer, step: int) -> None:
    """Lets a signal reach the last process alone, in a step of the run: all stop behind it."""
    signals, backward, count = StopSignals(), run.backward, [0]

    def noted(*args: Any) -> Any:
        count[0] += 1
        if count[0] == step and distributed.rank() == distributed.world_size() - 1:
            signals.signum = signal.SIGTERM
        return backward(*args)

    run.backward = noted  # type: ignore[method-assign]
    with pytest.raises(Stopped) as stopped:
        run.fit(signals)
    assert (stopped.value.code, count[0]) == (143, step)


def work(task: str, folder: Path) -> None:
    result: dict[str, object] = {}
    if task == "parity":
        run = trainer(folder, num_ids=2)
        run.fit()
        result = {
            "weights": run.model.state_dict(),
            "averaged": run.ema.module.state_dict(),
            "centers": run.criterion.state_dict(),
            "gradients": {name: gradients(name) for name in LOSS},
            "seeds": run.model.seeds,
            "draws": run.model.draws,
            "uneven": uneven(),
            "refusals": refusals(),
            "readable": readable(folder),
        }
    else:
        protocol = {"norm": nn.BatchNorm1d, "adversary": AdversarialTraining()}
        whole = trainer(folder / "whole", 2, **protocol)
        whole.fit()
        trainer(folder / "parts", 2, epochs=1, **protocol).fit()
        distributed.from_main([0])  # the file is there
        again = trainer(folder / "parts", 2, **protocol)
        again.resume(folder / "parts/last.pth")
        again.fit()
        stopped = trainer(folder / "inside", 2, **protocol)
        stop_one_process(stopped, step=3)
        distributed.from_main([0])
        later = trainer(folder / "inside", 2, **protocol)
        later.resume(folder / "inside/last.pth")
        later.fit()
        frozen = trainer(folder / "frozen", 2, epochs=1, norm=nn.BatchNorm1d, freeze_epochs=1)
        frozen.model.backbone[1].running_mean.copy_(UNEVEN)
        frozen.fit()
        runs = {"whole": whole, "again": again, "inside": later, "frozen": frozen}
        result = {
            name: {
                **run.model.state_dict(),
                **run.criterion.state_dict(),
                **{f"averaged.{k}": v for k, v in run.ema.module.state_dict().items()},
            }
            for name, run in runs.items()
        }
    torch.save(result, folder / f"process{distributed.rank()}.pt")


def process(rank: int, task: str, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    guarded(lambda: work(task, folder))


def main() -> None:
    """Starts WORLD_SIZE processes by forks of this one: what is imported is so once."""
    importlib.import_module("torch._dynamo")  # the first step of an optimizer would, in each

    task, folder, size = sys.argv[1], Path(sys.argv[2]), int(os.environ["WORLD_SIZE"])
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=process, args=(rank, task, folder)) for rank in range(size)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    sys.exit(max(abs(rank.exitcode or 0) for rank in ranks))


if __name__ == "__main__":
    main()
