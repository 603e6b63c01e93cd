"""How trained networks differ inside, run beside run: ``reid show RUN ... --mechanism``."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from reid.builders.common import build_device, make
from reid.evaluation.activations import activation_maps, share_inside
from reid.evaluation.features import Embedding, Features, eval_mode
from reid.evaluation.lists import Lists, read_lists
from reid.evaluation.mechanism import (
    CUTOFF,
    channel_deviations,
    find_stem,
    gains,
    low_frequencies,
    low_frequency_share,
    pixel_gradients,
    rises,
)
from reid.evaluation.places import RANKING_FILE
from reid.jobs.tested_models import (
    TestedModel,
    asked_queries,
    at_size,
    images_of,
    masks_of,
    nearest_match,
    tested_models,
)
from reid.modeling import ReIDModel
from reid.robustness.ball import LEVELS
from reid.robustness.guides import Case, Guides
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.rngs import ImageRNGs
from reid.utils.environment import describe
from reid.utils.errors import ArgumentError, InputError
from reid.utils.logs import write_text

OBJECTIVE = "fna"  # whose gradient is looked at
MOST_QUERIES = 300
BATCH = 50  # images at a time
PERCENTILES = (10, 50, 90)


@dataclass(frozen=True)
class Mechanism:
    """What was measured of one run; shares are fractions, and None is what could not be measured.

    Attributes:
        run: Its name.
        folder: Its OUTPUT_DIR.
        weight: Its checkpoint.
        channel_sd: Standard deviations of the channels of conv1's map, in their order.
        channel_sd_percentiles: Their 10th, 50th and 90th percentile.
        gain: Mean over the channels of how far eps moves the output of bn1.
        low_frequencies: Mean share of a pixel gradient's energy below 1/16 cycle per pixel.
        smoothness: Rise of the loss by a step of eps along the gradient's sign / the rise that the
            gradient foretells, both summed over the images.
        norm_on_person: Mean share of the feature-norm map on the person.
        grad_cam_on_person: Mean share of the Grad-CAM map on the person.
    """

    run: str
    folder: str
    weight: str
    channel_sd: list[float] | None
    channel_sd_percentiles: list[float] | None
    gain: float | None
    low_frequencies: float | None
    smoothness: float | None
    norm_on_person: float | None
    grad_cam_on_person: float | None


def show_mechanism(
    folders: Sequence[Path],
    counts: dict[str, int],
    names: Sequence[str],
    eps_255: float,
    output: Path,
    root: Path | None = None,
) -> str:
    """Measures the mechanism of tested runs on the same queries, and writes it as JSON.

    Args:
        folders: OUTPUT_DIRs of runs whose own checkpoints were tested on the same images.
        counts: How many queries, by "worst", "median" and "best", in the test of the first run; if
            neither these nor ``names`` are given, at most 300, evenly spread over the test.
        names: Files of further queries.
        eps_255: Size of the change of a pixel, in levels of 255.
        output: The JSON file.
        root: Where the images lie now; None takes the folder that the test read.

    Returns:
        A table with a row for each run, and what is needed to read it.

    Raises:
        InputError: A folder holds no run, the first run's test kept no lists, runs were tested on
            different images, or images are not there.
    """
    models = tested_models(folders)
    lists = read_lists(folders[0] / RANKING_FILE, root)
    queries = asked_queries(lists, counts, names, MOST_QUERIES) or _spread(lists)
    found = [_measure(one, lists, queries, eps_255) for one in models]
    size = tuple(models[0].cfg.INPUT.SIZE_TEST)
    masks = masks_of(lists, queries)
    flat = {
        "low_frequencies": float(low_frequencies(size).double().mean()),
        "on_person": float(at_size(masks, size).mean()) if masks else None,
    }
    content = {
        "objective": OBJECTIVE,
        "eps_255": eps_255,
        "cutoff": CUTOFF,
        "queries": [int(query) for query in queries],
        "environment": describe(build_device(models[0].cfg)),
        "flat": flat,
        "runs": [asdict(one) for one in found],
    }
    write_text(output, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return _table(found, len(queries), eps_255, flat)


def _spread(lists: Lists) -> list[int]:
    """Returns at most 300 valid queries, evenly spread over the test."""
    every = np.sort(lists.rankings["plain"].query_index)
    count = min(MOST_QUERIES, len(every))
    return [int(every[i * len(every) // count]) for i in range(count)]


def _measure(one: TestedModel, lists: Lists, queries: Sequence[int], eps_255: float) -> Mechanism:
    """Measures one run."""
    model = one.load()
    # In fp32 and without flip averaging, whatever the test did.
    embed = Embedding(model, one.cfg.TEST.NECK_FEAT, one.cfg.TEST.FEAT_NORM)
    size = tuple(one.cfg.INPUT.SIZE_TEST)
    device = build_device(one.cfg)
    with eval_mode(embed):
        batches = list(_batches(lists, "query", queries, size, device))
        deviations, gain = _stem_of(model, embed, batches, eps_255 / LEVELS)
        low, smoothness = _gradients(one, embed, lists, queries, batches, eps_255 / LEVELS)
        on_person = _on_person(embed, lists, queries, batches, size)
    percentiles = None
    if deviations is not None:
        at = torch.tensor(PERCENTILES, dtype=torch.float64) / 100
        percentiles = torch.tensor(deviations, dtype=torch.float64).quantile(at).tolist()
    return Mechanism(
        run=one.name,
        folder=str(one.folder),
        weight=one.weight.name,
        channel_sd=deviations,
        channel_sd_percentiles=percentiles,
        gain=gain,
        low_frequencies=low,
        smoothness=smoothness,
        norm_on_person=on_person[0],
        grad_cam_on_person=on_person[1],
    )


def _batches(
    lists: Lists, side: str, indices: Sequence[int], size: tuple[int, int], device: torch.device
) -> Iterator[Tensor]:
    for begin in range(0, len(indices), BATCH):
        yield images_of(lists, side, indices[begin : begin + BATCH], size).to(device)


def _stem_of(
    model: ReIDModel, embed: Embedding, batches: Sequence[Tensor], eps: float
) -> tuple[list[float] | None, float | None]:
    """Returns the deviations of conv1's channels and the mean gain, or None without such a stem."""
    stem = find_stem(embed, batches[0][:1])
    if stem is None:
        return None, None
    deviations = channel_deviations(embed, stem.conv, batches)
    gain = gains(stem, model.pixel_std.flatten(), eps).mean()
    return deviations.tolist(), float(gain)


def _gradients(
    one: TestedModel,
    embed: Embedding,
    lists: Lists,
    queries: Sequence[int],
    batches: Sequence[Tensor],
    eps: float,
) -> tuple[float | None, float | None]:
    """Returns the share of low frequencies, and the actual over the foretold rise.

    Both are None where no gradient is other than 0.
    """
    low, rose, foretold = [], [], []
    guides = _guides(one, embed, lists, queries)
    for number, images in enumerate(batches):
        part = list(queries[BATCH * number : BATCH * (number + 1)])
        loss = _loss(one, embed, lists, part, images, guides)
        gradients = pixel_gradients(loss, images)
        low.append(low_frequency_share(gradients))
        actual, predicted = rises(loss, images, gradients, eps)
        rose.append(actual.double())
        foretold.append(predicted.double())
    whole = torch.cat(foretold).sum()
    if not whole > 0:
        return None, None
    return float(torch.cat(low).nanmean()), float(torch.cat(rose).sum() / whole)


def _guides(one: TestedModel, embed: Embedding, lists: Lists, queries: Sequence[int]) -> Guides:
    """Returns the gallery's features of the people who are asked for, which guide the attack."""
    gallery = lists.gallery
    people = np.unique(lists.query.pids[list(queries)])
    if len(people) < 2:
        raise InputError("--mechanism needs queries of two people or more; ask for more queries")
    members = np.flatnonzero(np.isin(gallery.pids, people))
    size, device = tuple(one.cfg.INPUT.SIZE_TEST), build_device(one.cfg)
    with torch.no_grad():
        images = _batches(lists, "gallery", members.tolist(), size, device)
        feats = torch.cat([embed(batch) for batch in images])
    side = Features(feats, gallery.pids[members], gallery.camids[members])
    return Guides(side, one.cfg.SEED, protocol=one.cfg.TEST.PROTOCOL)


def _loss(
    one: TestedModel,
    embed: Embedding,
    lists: Lists,
    queries: Sequence[int],
    images: Tensor,
    guides: Guides,
) -> Callable[[Tensor], Tensor]:
    """Returns the loss that an attack on a batch of queries raises."""
    ids = (torch.from_numpy(x[list(queries)]) for x in (lists.query.pids, lists.query.camids))
    pids, camids = (numbers.to(images.device) for numbers in ids)
    case = Case(pids, camids, torch.tensor(queries, device=images.device), guides)
    objective = make(OBJECTIVES, OBJECTIVE, one.cfg)
    loss: Callable[[Tensor], Tensor] = objective(
        embed, images, case, ImageRNGs(one.cfg.SEED, queries)
    )
    return loss


def _on_person(
    embed: Embedding,
    lists: Lists,
    queries: Sequence[int],
    batches: Sequence[Tensor],
    size: tuple[int, int],
) -> tuple[float | None, float | None]:
    """Returns the shares of both maps on the person; None where persons or maps are not known."""
    masks = masks_of(lists, queries)
    if len(masks) < len(queries):
        return None, None
    shares = []
    for number, images in enumerate(batches):
        rows = range(BATCH * number, BATCH * number + len(images))
        matches = [nearest_match(lists, queries[row]) for row in rows]
        with torch.no_grad():
            targets = embed(images_of(lists, "gallery", matches, size).to(images.device))
        try:
            maps = activation_maps(embed, images, targets)
        except ArgumentError:  # a class token has no map
            return None, None
        person = at_size({row: masks[row] for row in rows}, size)
        shares.append(torch.stack([share_inside(heat.cpu(), person) for heat in maps]))
    norm, grad_cam = torch.cat(shares, 1).nanmean(1).tolist()
    return norm, grad_cam


def _table(
    found: Sequence[Mechanism], queries: int, eps_255: float, flat: dict[str, float | None]
) -> str:
    """Returns the table that is printed."""
    rows = []
    for one in found:
        percentiles: Sequence[float | None] = one.channel_sd_percentiles or (None,) * 3
        rows.append(
            [
                one.run,
                *(_text(value, 1, 3) for value in percentiles),
                _text(one.gain, 1, 3),
                _text(one.low_frequencies, 100, 1),
                _text(one.smoothness, 1, 2),
                _text(one.norm_on_person, 100, 1),
                _text(one.grad_cam_on_person, 100, 1),
            ]
        )
    headers = ["run", *(f"conv1 sd p{p}" for p in PERCENTILES), "gain", "low frequencies %"]
    headers += ["actual / foretold rise", "norm on the person %", "Grad-CAM on the person %"]
    lines = [
        f"{queries} queries, gradients of {OBJECTIVE}, eps {eps_255:g}/255",
        tabulate(rows, headers, disable_numparse=True, stralign="right"),
        f"a flat spectrum has {_text(flat['low_frequencies'], 100, 1)} % below 1/16 cycle per"
        f" pixel; a flat map has {_text(flat['on_person'], 100, 1)} % on the person",
    ]
    lines += [
        f"{one.run}: the network does not begin with a convolution on the pixels and a batch"
        " normalization of its map; conv1 sd and gain are left out"
        for one in found
        if one.gain is None
    ]
    return "\n".join(lines)


def _text(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{factor * value:.{digits}f}"
