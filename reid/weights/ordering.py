"""Weights whose names are foreign, but whose order is that of a known network."""

from collections.abc import Mapping

from torch import Tensor

from reid.utils.errors import InputError


def by_order(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, str]:
    """Pairs the tensors of a file with those of a network, one after another.

    Names end alike (``weight``, ``running_mean``) and shapes are the same in every pair, or
    nothing is paired.

    Args:
        given: Tensors of the file, in its order.
        wanted: Tensors of the network, in its order, without a classifier.

    Returns:
        Name in the file by name in the network.

    Raises:
        InputError: The first pair that does not fit, or another number of tensors.
    """
    if len(given) != len(wanted):
        raise InputError(
            f"it has {len(given)} tensors, and the network {len(wanted)}: their order says nothing"
        )
    pairs = {}
    for number, (theirs, ours) in enumerate(zip(given, wanted, strict=True), 1):
        ends = [name.rpartition(".")[2] for name in (theirs, ours)]
        shapes = [tuple(given[theirs].shape), tuple(wanted[ours].shape)]
        if ends[0] != ends[1] or shapes[0] != shapes[1]:
            raise InputError(
                f"tensor {number} is '{theirs}' {shapes[0]} in the file and '{ours}' {shapes[1]} in"
                " the network: the order is not the network's own"
            )
        pairs[ours] = theirs
    return pairs
