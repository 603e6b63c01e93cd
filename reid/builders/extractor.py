"""A checkpoint alone becomes a model that takes images: it carries its config."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from reid.builders.checkpoints import carried_config, filled, weight_file
from reid.builders.weights import load_any
from reid.config import config_errors, dump
from reid.data.loaders import usable_workers
from reid.embedding.extractor import FeatureExtractor
from reid.evaluation.features import Embedding
from reid.utils.environment import choose_device, choose_precision

# What features depend on. The rest of a config may name a user's own losses or augmentations.
WANTED = (
    "MODEL.BACKBONE.",
    "MODEL.POOLING.",
    "MODEL.HEAD.",
    "INPUT.SIZE_",
    "INPUT.PIXEL_",
    "TEST.",
)
_THREADS = 16  # more threads than this wait for Python's lock


def load_extractor(
    path: Path, device: str = "auto", overrides: Sequence[str] = ()
) -> FeatureExtractor:
    """Makes a model of a checkpoint, of a file of another project, or of the folder of a run.

    Args:
        path: The file. Of a folder best.pth is taken, or last.pth.
        device: ``auto`` (CUDA, else Apple's MPS, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or
            ``mps``.
        overrides: ``[KEY, VALUE, ...]`` that go before the config in the file.

    Raises:
        InputError: The file is missing, damaged or of no known network; there is no such device; a
            setting is wrong.
    """
    file = weight_file(path)
    checkpoint, family = load_any(file)
    # Built on the CPU; MODEL.DEVICE knows no MPS.
    cfg = carried_config(checkpoint, file, [*overrides, "MODEL.DEVICE", "cpu"], WANTED)
    logger = logging.getLogger("reid.load")
    logger.addHandler(logging.NullHandler())
    model = filled(cfg, checkpoint, file, logger, family)
    chosen = choose_any_device(device)
    t = cfg.TEST
    precision = choose_precision(t.PRECISION, chosen)
    with config_errors("TEST"):
        embedding = Embedding(model.to(chosen), t.NECK_FEAT, t.FEAT_NORM, t.FLIP, precision)
    threads = usable_workers(_THREADS)
    size = tuple(cfg.INPUT.SIZE_TEST)
    return FeatureExtractor(embedding, size, chosen, t.IMS_PER_BATCH, threads, dump(cfg), str(file))


def choose_any_device(device: str) -> torch.device:
    """Returns a device for features alone; besides those of training it may be Apple's.

    Raises:
        ArgumentError: There is no such device.
    """
    apple = torch.backends.mps.is_available()
    if apple and (device == "mps" or (device == "auto" and not torch.cuda.is_available())):
        return torch.device("mps")
    return choose_device(device)
