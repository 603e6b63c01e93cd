"""Randomness that is derived, never stored: a seed is a function of (run seed, epoch, ...).

A run that stops at an epoch's end and resumes draws the same numbers as one that never stopped,
and no state of a generator has to be saved.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


def derive_seed(*parts: int) -> int:
    """Mixes non-negative integers into one 63-bit seed; other integers give an unrelated seed."""
    return int(derive_seeds(*parts, count=1)[0])


def derive_seeds(*parts: int, count: int) -> np.ndarray:
    """Mixes non-negative integers into ``count`` seeds, (count,) int64 >= 0.

    Args:
        parts: Non-negative integers.
        count: Number of seeds.
    """
    words = np.random.SeedSequence(parts).generate_state(count, np.uint64)
    return (words >> np.uint64(1)).astype(np.int64)


@contextlib.contextmanager
def fixed_torch_rng(seed: int) -> Iterator[None]:
    """Runs a block under a seeded CPU generator of torch and puts the old state back.

    It is meant for code of other projects that draws from the global generator, such as the
    initialization in torchvision.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def forked(generator: torch.Generator | None) -> torch.Generator:
    """Returns another generator, seeded by the one that comes in, which stays where it is.

    So a draw can be added that moves no other draw, and that has no state of its own to be saved.

    Args:
        generator: A generator of the CPU; None is torch's global one.
    """
    source = torch.default_generator if generator is None else generator
    state = source.get_state()
    seed = torch.randint(2**63 - 1, (), generator=source)
    source.set_state(state)
    return torch.Generator().manual_seed(int(seed))


class DeviceRNG:
    """One seeded ``torch.Generator`` per device; unseeded, torch's own generators are used.

    A module that draws in its forward pass keeps one. In a notebook ``torch.manual_seed`` governs
    it like any layer of torch; the trainer calls :meth:`reseed` each epoch, and from then on no
    global state is read or moved.
    """

    def __init__(self) -> None:
        self._seed: int | None = None
        self._generators: dict[torch.device, torch.Generator] = {}

    def reseed(self, seed: int) -> None:
        """Starts all generators anew from ``seed``."""
        self._seed = seed
        self._generators.clear()

    def on(self, device: torch.device) -> torch.Generator | None:
        """Returns the generator of ``device``, or None for torch's global one."""
        if self._seed is None:
            return None
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]

    def state(self) -> dict[str, Any]:
        """Returns where each generator stands, as plain values and tensors: see :meth:`restore`."""
        states = {device.type: g.get_state() for device, g in self._generators.items()}
        return {"seed": self._seed, "generators": states}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Goes on from a :meth:`state`, so that the next numbers are those that came next there.

        Args:
            state: The state.
            device: Device of the model, which may have another index than the one it had then.
        """
        self._seed = state["seed"]
        self._generators.clear()
        for kind, numbers in state["generators"].items():
            of_kind = device if device.type == kind else torch.device(kind)
            self._generators[of_kind] = torch.Generator(of_kind)
            self._generators[of_kind].set_state(numbers)

    def __getstate__(self) -> dict[str, int | None]:
        # Generators can neither be copied nor pickled on every supported torch; the seed can.
        return {"seed": self._seed}

    def __setstate__(self, state: dict[str, int | None]) -> None:
        self._seed = state["seed"]
        self._generators = {}
