"""A model in many processes: averaged gradients, and one set of running statistics."""

import inspect
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from reid.utils import distributed
from reid.utils.errors import InputError


class _DetachUnread(nn.Module):
    """Detaches the outputs that no loss reads.

    Their parameters then get no gradient, and DDP need not wait for one.

    Args:
        model: Module that returns a named tuple of tensors.
        read: Fields of that tuple that losses read.
    """

    def __init__(self, model: nn.Module, read: Collection[str]) -> None:
        super().__init__()
        self.model = model
        self.read = frozenset(read)

    def forward(self, images: Tensor) -> Any:
        output = self.model(images)
        unread = {k: v.detach() for k, v in output._asdict().items() if k not in self.read}
        return output._replace(**unread)


def wrap(model: nn.Module, read: Collection[str]) -> nn.Module:
    """Returns what to call in training: in one process ``model`` itself.

    Afterwards all processes have the weights of the first, and after every backward pass they have
    the mean of their gradients. ``model`` stays the one to save, to reseed and to evaluate. Wrap it
    anew for each epoch: DDP regroups the gradients after its first step. Otherwise a resumed run
    would add them up in another order than a run that never stopped.

    Args:
        model: Module that returns a named tuple of tensors.
        read: Fields of that tuple that losses read.
    """
    if not distributed.active():
        return model
    # Newer versions of torch have another name for this argument.
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    settings: dict[str, Any] = {name: False}
    # Every parameter takes part in the logits. A search for unused ones would cost time.
    settings["find_unused_parameters"] = "logits" not in read
    return DistributedDataParallel(_DetachUnread(model, read), **settings)


def no_sync(network: nn.Module, wanted: bool = True) -> AbstractContextManager[object]:
    """Averages no gradients in the block; the next backward pass after it averages their sum.

    Args:
        network: The wrapped model, from :func:`wrap`.
        wanted: False changes nothing.
    """
    if wanted and isinstance(network, DistributedDataParallel):
        return network.no_sync()
    return nullcontext()


def average_gradients(module: nn.Module) -> None:
    """Sets the gradients of a module that is not wrapped to their mean over all processes.

    It is meant for the parameters of losses; call it once for each update.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    if not distributed.active() or not trained:
        return
    for parameter in trained:
        if parameter.grad is None:  # the batch of this process did not use it
            parameter.grad = torch.zeros_like(parameter)
    distributed.average(*(p.grad for p in trained if p.grad is not None))


def average_bn_stats(model: nn.Module, without: str = "") -> None:
    """Sets the running statistics of every process to their mean over all.

    Batch normalization sees its own process's batches. It is called once an epoch, before the
    model is evaluated and saved, so that all processes hold the same model.

    Args:
        model: The model.
        without: Part of the model, a child of it, that is left as it is: a frozen part has the same
            statistics in all processes, and sums would round them. "" leaves out none.
    """
    distributed.average(*statistics(model, without))


def statistics(model: nn.Module, without: str = "") -> list[Tensor]:
    """Returns the floating point buffers that a checkpoint holds, such as running means.

    Args:
        model: The model.
        without: Part of the model, a child of it, whose buffers are left out; "" is none.
    """
    parameters = dict(model.named_parameters())
    state = model.state_dict()
    keys = [k for k in state if k not in parameters and state[k].is_floating_point()]
    return [state[k] for k in keys if not without or not k.startswith(f"{without}.")]


def sync_batch_norm(model: nn.Module, device: torch.device) -> None:
    """Makes batch normalization use the batch of all processes; in one process it changes nothing.

    Args:
        model: The model, changed in place; its parameters and the keys of its state dict stay.
        device: Device of the model.

    Raises:
        InputError: There are several processes, and the device is not CUDA.
    """
    if not distributed.active():
        return
    if device.type != "cuda":
        raise InputError(
            "torch synchronizes batch normalization on CUDA only, and the model is on"
            f" {device.type}"
        )
    synchronized(model)


def synchronized(model: nn.Module) -> None:
    """Puts synchronized layers in the places of batch normalization."""
    # timm has normalizations with an activation inside, which torch's own function would drop.
    layers = sys.modules.get("timm.layers")
    convert = nn.SyncBatchNorm if layers is None else layers
    convert.convert_sync_batchnorm(model)
