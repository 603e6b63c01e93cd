"""Writes constants into cells of a feature map, with few copies.

It copies the gradient in the backward pass and, unless it works in place, the map in the forward
pass.
"""

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
        value: New values, broadcasts to (n, k, H, W); a constant to autograd.
        in_place: Whether to write into ``x`` and not into a copy; only where nothing else needs the
            old values of ``x``.
    """
    # The compiler keeps the order of reads and writes itself, and does not support mark_dirty.
    write = _OverwriteInPlace if in_place and not torch.compiler.is_compiling() else _Overwrite
    out: Tensor = write.apply(x, sample, channels, inside, value.to(x.dtype))
    return out


class _Overwrite(torch.autograd.Function):
    """Copies the map and then reads and writes only the drawn channels of the drawn samples.

    ``torch.where`` with a mask of the size of x would read and write everything twice more.
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
