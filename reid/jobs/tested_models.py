"""Models of tested runs, and the images that they are looked at with."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from yacs.config import CfgNode

from reid import builders
from reid.config import load_cfg
from reid.data.images import decode
from reid.evaluation.lists import Lists, chosen, found, query_named
from reid.evaluation.places import METRICS_FILE
from reid.jobs.report import names_of
from reid.jobs.show import picture_of
from reid.modeling import ReIDModel
from reid.synthetic.masks import mask_of
from reid.utils.batch import to_unit
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json


class TestedModel(NamedTuple):
    """A model whose own checkpoint was tested.

    Attributes:
        name: What pictures and tables call it.
        folder: OUTPUT_DIR of its run.
        cfg: The config.
        weight: The checkpoint.
    """

    name: str
    folder: Path
    cfg: CfgNode
    weight: Path

    def load(self) -> ReIDModel:
        """Builds the model and fills it."""
        return builders.load_trained(self.cfg, self.weight, logging.getLogger("reid.show"))


def tested_models(folders: Sequence[Path]) -> list[TestedModel]:
    """Finds the models of runs that were tested on the same images.

    Args:
        folders: OUTPUT_DIRs of runs.

    Raises:
        InputError: A folder holds no run, its test is of no checkpoint, or of other images than
            that of the first.
    """
    folders = list(dict.fromkeys(folders))
    for folder in folders:
        if not (folder / "config.yml").is_file():
            raise InputError(f"{folder} has no config.yml; name the OUTPUT_DIR of a run")
    results = [_result(folder) for folder in folders]
    for folder, (_, data) in zip(folders, results, strict=True):
        if data != results[0][1]:
            raise InputError(
                f"{folder} was tested on other images than {folders[0]}; test both on the same"
            )
    return [
        TestedModel(name, folder, load_cfg(folder / "config.yml"), weight)
        for name, folder, (weight, _) in zip(names_of(folders), folders, results, strict=True)
    ]


def _result(folder: Path) -> tuple[Path, object]:
    """Returns the checkpoint that the lists are of, and digests of the images.

    Raises:
        InputError: They are of none: of saved features or of a reference.
    """
    file = folder / METRICS_FILE
    content = read_json(file, "the result of a test")
    metrics = fields(content, str(file), {}, {"weight": str, "data": dict})
    if "weight" not in metrics:
        raise InputError(f"{file} is of no checkpoint; test one (reid test) to see where it looks")
    named = Path(metrics["weight"])
    return named if named.is_file() else folder / named.name, metrics.get("data")


def asked_queries(
    lists: Lists, counts: dict[str, int], names: Sequence[str], most: int
) -> list[int]:
    """Returns the indices of the queries that a command asks for.

    Args:
        lists: The lists of the test.
        counts: How many queries, by "worst", "median" and "best".
        names: Files of further queries.
        most: The largest number that makes sense.

    Raises:
        InputError: There is no such query, or there are too many.
    """
    queries = [query_named(lists, name) for name in names]
    for which, count in counts.items():
        queries += chosen(lists, which, count)
    queries = list(dict.fromkeys(queries))
    if len(queries) > most:
        raise InputError(f"{len(queries)} queries are too many to draw; ask for {most}")
    return queries


def nearest_match(lists: Lists, query: int) -> int:
    """Returns the nearest match of a query, or one of another camera if none was kept.

    Args:
        lists: The lists of the test.
        query: Index of a valid query.
    """
    for hit in found(lists, "plain", query, lists.rankings["plain"].places.shape[1]).hits:
        if hit.right:
            return hit.image
    same = np.flatnonzero(lists.gallery.pids == lists.query.pids[query])
    other = same[lists.gallery.camids[same] != lists.query.camids[query]]
    return int((other if len(other) else same)[-1])


def images_of(lists: Lists, side: str, indices: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Returns images of a test, (B, 3, H, W) in [0, 1].

    Args:
        lists: The lists of the test.
        side: "query" or "gallery".
        indices: Numbers of the B images.
        size: (H, W) that they are resized to.
    """
    pixels = []
    for index in indices:
        picture_of(lists, side, index)  # says how to mend it if there is no image
        path = lists.path(side, index)
        assert path is not None
        pixels.append(torch.from_numpy(decode(path, size).copy()).permute(2, 0, 1))
    return to_unit(torch.stack(pixels))


def masks_of(lists: Lists, queries: Sequence[int]) -> dict[int, np.ndarray]:
    """Returns the masks of the queries that are drawn people, by place in ``queries``.

    Args:
        lists: The lists of the test.
        queries: Indices of queries.

    Returns:
        Share of each pixel that shows the person, (128, 64) in [0, 1].
    """
    paths = [lists.path("query", query) for query in queries]
    masks = {row: mask_of(path) for row, path in enumerate(paths) if path is not None}
    return {row: mask for row, mask in masks.items() if mask is not None}


def at_size(masks: dict[int, np.ndarray], size: tuple[int, int]) -> Tensor:
    """Returns masks, (B, H, W) in [0, 1], each cell the mean of what it covers.

    Args:
        masks: From :func:`masks_of`.
        size: (H, W).
    """
    person = torch.stack([torch.from_numpy(mask) for mask in masks.values()])
    return torch.nn.functional.interpolate(person[:, None], size, mode="area")[:, 0]
