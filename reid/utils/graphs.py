"""Functions that torch.compile leaves alone."""

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def outside_graphs(function: F) -> F:
    """Keeps a function out of compiled graphs, as ``torch.compiler.disable`` does.

    That decorator loads torch's compiler, which takes as long as loading torch, for everybody who
    imports a module. This one applies it on the first call after the compiler was loaded by
    somebody who compiles.

    Args:
        function: What to keep out; it gets the same arguments.
    """
    disabled: list[Callable[..., Any]] = []

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        if not disabled:
            disabled.append(torch.compiler.disable(function))
        return disabled[0](*args, **kwargs)

    wrapper._torchdynamo_disable = True  # type: ignore[attr-defined] # what the compiler looks for
    return wrapper  # type: ignore[return-value]
