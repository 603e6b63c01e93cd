"""Checks of hyper-parameters that several regularizers share."""

from reid.utils.errors import InputError


def check_probability(name: str, p: float) -> None:
    """Raises InputError unless ``p`` lies in [0, 1]."""
    if not 0 <= p <= 1:
        raise InputError(f"{name}: p is a probability in [0, 1], not {p}")


def check_at_least_one(name: str, key: str, value: int) -> None:
    """Raises InputError unless ``value`` is a whole number >= 1."""
    if value != int(value) or value < 1:
        raise InputError(f"{name}: {key} is a whole number >= 1, not {value}")


def check_range(name: str, key: str, bounds: tuple[float, float], top: float) -> None:
    """Raises InputError unless ``bounds`` are (low, high) with 0 < low <= high <= top."""
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= top:
        limit = f" <= {top:g}" if top < float("inf") else ""
        raise InputError(f"{name}: {key} is (low, high) with 0 < low <= high{limit}, not {bounds}")


def check_enough_channels(name: str, wanted: int, channels: int) -> None:
    """Raises InputError unless a feature map has the ``wanted`` number of channels."""
    if wanted > channels:
        raise InputError(
            f"{name}: num_channels is {wanted} but the feature map has {channels} channels; "
            f"set num_channels to {channels} or less, or choose a deeper stage"
        )
