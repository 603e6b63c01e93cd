"""Exact nearest neighbours within one set, found by products of 8-bit integers.

Features less their mean are rounded to integers of -127 .. 127, one scale for each. A product of
such integers is exact and costs a processor with VNNI less than a quarter of one in float32. It
bounds each squared distance from both sides (:mod:`reid.evaluation.compiled_screening`); whatever
the bounds leave is decided in float64. So the result does not depend on the rounding, only
the number of candidates does: about 40 a row for lists of 25 with features of a trained network,
hundreds with noise of the same length, whose distances are nearly equal.
"""

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from reid.evaluation.partial import PartialSearch

BLOCK = 1024  # rows per block: 4 MiB of products
NEAR = 128  # candidates a row can have, or 4 for each place of its list if that is more
FAR = 32  # candidates for the farthest
SLACK = 2**-18  # of the squared lengths: more than 40 roundings in float32
WIDTH_FROM = 128  # with narrower features, float32 products cost too little
WIDTH_TO = 1 << 17  # products of wider ones do not fit into 32 bits
TRIED = 64  # rows that are tried before
SQUARES = (1e-30, 1e18)  # squared lengths for which float32 loses no digits


def has_fast_integers() -> bool:
    """Says whether products of 8-bit integers are fast on this processor (AVX-512 VNNI).

    By what it can do and not by a measurement: the last bit of a distance depends on the way, and
    the same command has to give the same numbers whatever else the machine does.
    """
    known = getattr(torch.cpu, "_is_vnni_supported", None)  # not public, and may go
    return bool(known and known()) and hasattr(torch, "_int_mm")


class Screen:
    """The integers of a set of features, and what bounds its distances.

    Args:
        features: (N, D) float32 on the CPU, of finite squared lengths.

    Attributes:
        codes: (N, D) int8.
        facts: (N, 6) float32; see :mod:`reid.evaluation.compiled_screening`.
        sound: Whether the bounds hold: no length is so large or small that float32 loses digits.
    """

    def __init__(self, features: Tensor) -> None:
        size, width = features.shape
        mean = features.mean(0)
        self.codes = torch.empty((size, width), dtype=torch.int8)
        self.facts = torch.empty((size, 6))
        for rows in torch.arange(size).split(1024):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            self._fill(features[part] - mean, part)
        length = self.facts[:, 1].double().square()
        positive = length[length > 0]
        self.sound = bool(
            torch.isfinite(length).all()
            and (not len(positive) or SQUARES[0] < positive.min() <= positive.max() < SQUARES[1])
        )

    def _fill(self, centered: Tensor, part: slice) -> None:
        scale = centered.abs().amax(1).div_(127)
        code = (centered / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round_()
        code.clamp_(-127, 127)
        self.codes[part] = code.to(torch.int8)
        exact = centered.double()
        rounded = code.double() * scale.double()[:, None]
        square = exact.square().sum(1)
        columns = (
            scale.double(),
            square.sqrt(),
            rounded.square().sum(1).sqrt(),
            (exact - rounded).square().sum(1).sqrt(),
            square * (1 - SLACK),
            square * (1 + SLACK),
        )
        self.facts[part] = torch.stack(columns, 1).float()

    def products(self, a: slice, b: slice) -> Tensor:
        """Returns the exact products of the integers of some rows, (A, B) int32.

        Args:
            a: Rows of the products.
            b: Columns.
        """
        return torch._int_mm(self.codes[a], self.codes[b].T)

    def leaves_few(self, k: int) -> bool:
        """Says whether the bounds leave few candidates for ``k`` places, by some rows.

        Args:
            k: Length of the lists.
        """
        size = len(self.codes)
        step = max(1, size // TRIED)
        rows = slice(0, step * TRIED, step)
        scale, length, rounded, rest, low, high = self.facts.T
        dot = 2 * scale[rows, None] * scale * self.products(rows, slice(None))
        spread = 2 * (rest[rows, None] * length + rounded[rows, None] * rest)
        least = low[rows, None] + low - dot - spread
        most = high[rows, None] + high - dot + spread
        reach = most.kthvalue(k, dim=1, keepdim=True).values
        near = (least <= reach).sum(1).float().mean()
        far = (most >= least.amax(1, keepdim=True)).sum(1).float().mean()
        return bool(near <= room(k) / 2 and far <= FAR / 2)


def room(k: int) -> int:
    """Returns how many candidates a row can have.

    Args:
        k: Length of the lists.
    """
    return max(NEAR, 4 * k)


class ScreenedSearch:
    """The lists of candidates of all rows, and the loops that fill them.

    Args:
        screen: The integers and bounds.
        k: Length of the lists, at most N.
        loops: :mod:`reid.evaluation.compiled_screening`.
        block: Rows per block.
    """

    def __init__(self, screen: Screen, k: int, loops: ModuleType, block: int) -> None:
        size = len(screen.codes)
        self.screen = screen
        self.k = k
        self.loops = loops
        self.block = block
        self.near_low, self.near_high = torch.empty((2, size, room(k))).numpy()
        self.near_index = torch.empty((size, room(k)), dtype=torch.int32).numpy()
        self.far_high = torch.empty((size, FAR)).numpy()
        self.far_index = torch.empty((size, FAR), dtype=torch.int32).numpy()
        self.count = torch.zeros((size, 2), dtype=torch.int32).numpy()
        self.reach = torch.tensor([[torch.inf, -torch.inf]]).repeat(size, 1).numpy()

    def run(self, partial: PartialSearch, features: Tensor) -> None:
        """Offers every row to every other.

        Args:
            partial: Keeps what is found so far.
            features: (N, D), what the integers are made of.
        """
        size = len(self.count)
        step = self.block
        pairs = [(i, j) for i in range(0, size, step) for j in range(i, size, step)]
        columns = self.screen.facts.T.numpy()
        lists = self._lists()
        done = partial.load(features, f"screened {self.k} {step} {room(self.k)} {FAR}", lists)
        bar = tqdm(
            pairs[done:], "neighbors", len(pairs), initial=done, leave=False, delay=5,
            disable=None, unit="block",
        )  # fmt: skip
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # the loops release the GIL
            for number, (i, j) in enumerate(bar, done + 1):
                a = slice(i, min(i + step, size))
                b = slice(j, min(j + step, size))
                facts = np.ascontiguousarray(columns[:, b])  # the loops need it
                self._offer(pool, self.screen.products(a, b), a, b, facts)
                partial.after(number, lists, number == len(pairs))

    def _lists(self) -> dict[str, Tensor]:
        names = ("near_low", "near_high", "near_index", "far_high", "far_index", "count", "reach")
        return {name: torch.from_numpy(getattr(self, name)) for name in names}

    def _offer(
        self, pool: ThreadPoolExecutor, product: Tensor, a: slice, b: slice, columns: Any
    ) -> None:
        common = (product.numpy(), a.start, b.start, columns, self.screen.facts.numpy(), self.k)
        lists = (self.near_low, self.near_high, self.near_index, self.far_high, self.far_index)
        tasks: list[tuple[Any, ...]] = []
        sides = [(self.loops.offer_columns, a), (self.loops.offer_rows, b)]
        for offer, rows in sides[: 1 if a.start == b.start else 2]:
            for start, stop in _shares(rows.stop - rows.start):
                tasks.append((offer, *common, *lists, self.count, self.reach, start, stop))
        list(pool.map(lambda task: task[0](*task[1:]), tasks))

    def decide(self, features: Tensor, index: Tensor, sqdist: Tensor, farthest: Tensor) -> None:
        """Fills the lists of all rows; where one gave up, its first index or its farthest is -1.

        Args:
            features: (N, D) float32.
            index: (N, k) int64; changed, as all below.
            sqdist: (N, k) float32.
            farthest: (N,) float32.
        """
        common = (features.numpy(), self.near_low, self.near_high, self.near_index, self.far_index)
        out = (index.numpy(), sqdist.numpy(), farthest.numpy())
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            tasks = [
                (*common, self.count, self.reach, *out, start, stop)
                for start, stop in _shares(len(index))
            ]
            list(pool.map(lambda task: self.loops.decide(*task), tasks))


def _shares(size: int) -> list[tuple[int, int]]:
    """Returns the bounds of each thread's share of some rows."""
    step = -(-size // torch.get_num_threads())
    return [(start, min(start + step, size)) for start in range(0, size, step)]
