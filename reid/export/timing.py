"""How many images a second a model takes."""

import statistics
import time

import torch
from torch import Tensor, nn

LEAST_SECONDS = 1.0
LEAST_RUNS = 3


def images_per_second(model: nn.Module, pixels: Tensor) -> float:
    """Returns the images a second of a model, by the median of runs of one batch.

    It is called twice before the clock starts: what is compiled or planned is not measured.

    Args:
        model: Maps (N, H, W, 3) uint8 to (N, D), on the CPU.
        pixels: The batch.
    """
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(2):
            model(pixels)
        while len(times) < LEAST_RUNS or sum(times) < LEAST_SECONDS:
            start = time.perf_counter()
            model(pixels)
            times.append(time.perf_counter() - start)
    return len(pixels) / statistics.median(times)
