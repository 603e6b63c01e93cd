"""How deep each parameter of a backbone lies, for a learning rate that falls towards the images."""

import re
from collections.abc import Sequence

from torch import nn

# A sequence of blocks or stages by the names that the field gives it, and its number: `blocks.3` of
# a ViT, `layers.1` of a Swin, `stages.2` of a ConvNeXt, `layer4` of a ResNet, `features.5` and
# `encoder_layer_7` of torchvision.
_STAGE = re.compile(
    r"(?:^|\.)(?:(?:blocks|layers|stages|features)[._](?:encoder_layer_)?|layer)\d+\."
)
# The number of a block in its stage: `layer4.1`, `stages.2.blocks.0`.
_BLOCK = re.compile(r"(?:blocks\.)?\d+\.")


def block_depths(backbone: nn.Module) -> tuple[dict[str, int], int]:
    """Returns the depth of each parameter by name, and the number N of blocks.

    Depth 0 is what comes before the first block (a patch embedding, tokens, positions), 1 to N are
    the blocks, and N + 1 is what comes behind the last one (a last norm). Blocks are numbered in
    the order of the modules, through all stages.

    A backbone may say it itself: the method ``depth_of(name)`` takes the name of one of its own
    parameters, and returns the depth, or None behind the last block. Without the method, names such
    as ``blocks.3`` and ``layer4.1`` tell it. What a stage has outside its blocks is as deep as the
    first of them. Where no name tells it, each of the backbone's ``stages`` behind the first is a
    block.

    Args:
        backbone: The network, without pooling and head.

    Returns:
        The depths, and N; 0 and no depths if the network has no blocks.
    """
    names = [name for name, _ in backbone.named_parameters()]
    depth_of = getattr(backbone, "depth_of", None)
    told = [depth_of(name) for name in names] if depth_of is not None else _by_name(names)
    if not any(told):
        told = _by_stage(names, getattr(backbone, "stages", ()))
    last = max((depth for depth in told if depth is not None), default=0)
    if not last:
        return {}, 0
    depths = (last + 1 if depth is None else depth for depth in told)
    return dict(zip(names, depths, strict=True)), last


def _by_name(names: list[str]) -> list[int | None]:
    """Returns the depth of each parameter, in the order of the modules; None behind the blocks."""
    places = [_place_of(name) for name in names]
    first_block: dict[str, str] = {}
    for stage, block in places:
        if block:
            first_block.setdefault(stage, block)
    # A stage without blocks is one itself.
    blocks = [block or first_block.get(stage, stage) for stage, block in places]
    number: dict[str, int] = {}
    found: list[int | None] = []
    for block in blocks:
        if block:
            number.setdefault(block, len(number) + 1)
        found.append(number[block] if block else len(number))
    last_inside = max((i for i, block in enumerate(blocks) if block), default=-1)
    return [depth if i <= last_inside else None for i, depth in enumerate(found)]


def _by_stage(names: list[str], stages: Sequence[str]) -> list[int | None]:
    """Returns the depth of each parameter, in the order of the modules; stages are their paths."""
    own = [f".{stage}." for stage in stages[1:] if any(f".{stage}." in f".{n}" for n in names)]
    depth, found = 0, list[int | None]()
    for name in names:
        depth = next((i for i, stage in enumerate(own, 1) if stage in f".{name}"), depth)
        found.append(depth)
    return found


def _place_of(name: str) -> tuple[str, str]:
    """Returns the path of the stage and of the block that a parameter is in, "" for none."""
    stage = _STAGE.search(name)
    if stage is None:
        return "", ""
    block = _BLOCK.match(name, stage.end())
    return name[: stage.end()], name[: block.end()] if block else ""
