"""Constant cells in a feature map, at the price of a copy backward and, if need be, forward."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


def overwrite(
    x: Tensor,
    sample: Tensor,
    channels: Tensor,
    inside: Tensor,
    value: Tensor,
    in_place: bool = False,
) -> Tensor:
    """Returns ``x`` with new values in some cells; no gradient flows into these.

    Args:
        x: (B, C, H, W); its memory format is kept.
        sample: (n,) int64, distinct positions in the batch.
        channels: (n, k) int64, distinct within a row.
        inside: Cells to overwrite, bool, broadcasts to (n, k, H, W).
        value: What to write, broadcasts to (n, k, H, W); a constant to autograd.
        in_place: Write into ``x`` instead of a copy; only where nothing else needs it as it was.
    """
    # A compiler keeps the order of reads and writes itself, and knows no mark_dirty.
    write = _OverwriteInPlace if in_place and not torch.compiler.is_compiling() else _Overwrite
    out: Tensor = write.apply(x, sample, channels, inside, value.to(x.dtype))
    return out


class _Overwrite(torch.autograd.Function):
    """Only the drawn channels of the drawn samples are read and written beyond the copy.

    ``torch.where`` with a mask of x's size reads and writes everything again, twice.
    """

    @staticmethod
    def forward(
        x: Tensor, sample: Tensor, channels: Tensor, inside: Tensor, value: Tensor
    ) -> Tensor:
        out = x.clone()
        maps = (sample.unsqueeze(1), channels)
        out[maps] = torch.where(inside, value, x[maps])
        return out

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        _, sample, channels, inside, _ = inputs
        ctx.save_for_backward(sample, channels, inside)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        sample, channels, inside = ctx.saved_tensors
        out = grad.clone()
        maps = (sample.unsqueeze(1), channels)
        out[maps] = grad[maps].masked_fill_(inside, 0)
        return out, None, None, None, None


class _OverwriteInPlace(_Overwrite):
    @staticmethod
    def forward(
        x: Tensor, sample: Tensor, channels: Tensor, inside: Tensor, value: Tensor
    ) -> Tensor:
        maps = (sample.unsqueeze(1), channels)
        x[maps] = torch.where(inside, value, x[maps])
        return x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.mark_dirty(inputs[0])
        _Overwrite.setup_context(ctx, inputs, output)
