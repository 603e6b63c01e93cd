"""Where networks look, on clean and on changed images: ``reid show RUN ... --activations``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from tabulate import tabulate
from torch import Tensor
from yacs.config import CfgNode

from reid.builders.common import build_device, make
from reid.config import config_errors
from reid.evaluation.activations import activation_maps, resized, share_inside
from reid.evaluation.features import Embedding, eval_mode
from reid.evaluation.lists import Lists, read_lists
from reid.evaluation.places import RANKING_FILE
from reid.jobs.show import SIZE
from reid.jobs.tested_models import (
    asked_queries,
    at_size,
    images_of,
    masks_of,
    nearest_match,
    tested_models,
)
from reid.modeling import REGULARIZERS, ReIDModel
from reid.modeling.backbones.registry import Backbone
from reid.robustness.adversarial_training import AdversarialTraining
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.rngs import ImageRNGs
from reid.utils.logs import write_whole
from reid.visualization.heat import overlay
from reid.visualization.tiles import Tile, draw_tiles

SEVERITY = 3  # of the occlusion: 0.3 of the image
ATTACK = AdversarialTraining(eps_255=4.0, step=0.25, steps=10, share=1.0)
MOST_QUERIES = 64
CONDITIONS = ("clean", "LFM-masked", "occluded", "attacked")
MAPS = ("norm", "Grad-CAM")


class _Looked(NamedTuple):
    """One condition: images (B, 3, H, W) in [0, 1], and maps (B, H, W) of their size."""

    images: Tensor
    norm: Tensor
    grad_cam: Tensor


def show_activations(
    folders: Sequence[Path],
    counts: dict[str, int],
    names: Sequence[str],
    output: Path,
    root: Path | None = None,
) -> str:
    """Draws feature-norm and Grad-CAM maps of some queries of tested runs, and writes them as PNG.

    Grad-CAM explains the likeness to the nearest match of the query. Each query is shown clean;
    clean, with LFM behind the first stage; with an occluder; and under an attack. Of several runs
    each query has a row for each, one below the other; queries and matches are those of the first,
    and each model is attacked by itself.

    Args:
        folders: OUTPUT_DIRs of runs whose own checkpoints were tested on the same images.
        counts: How many queries, by "worst", "median" and "best", in the test of the first run.
        names: Files of further queries.
        output: The PNG file.
        root: Where the images lie now; None takes the folder that the test read.

    Returns:
        The share of the maps that lies on the person, as a table; it is known of drawn people.

    Raises:
        InputError: A folder holds no run, the first run's test kept no lists, runs were tested on
            different images, or images are not there.
    """
    models = tested_models(folders)
    lists = read_lists(folders[0] / RANKING_FILE, root)
    queries = asked_queries(lists, counts, names, MOST_QUERIES)
    seed = models[0].cfg.SEED
    looked = {one.name: _look(one.cfg, one.load(), lists, queries, seed) for one in models}
    _draw(output, lists, queries, looked)
    return _shares(lists, queries, looked)


def _look(
    cfg: CfgNode, model: ReIDModel, lists: Lists, queries: Sequence[int], seed: int
) -> dict[str, _Looked]:
    """Returns what is seen under each condition; the seed decides occluder, masks and attack."""
    device = build_device(cfg)
    embed = Embedding(model, cfg.TEST.NECK_FEAT)
    size = tuple(cfg.INPUT.SIZE_TEST)
    clean = images_of(lists, "query", queries, size).to(device)
    matches = [nearest_match(lists, query) for query in queries]
    with torch.no_grad(), eval_mode(embed):
        targets = embed(images_of(lists, "gallery", matches, size).to(device))
    rngs = ImageRNGs(seed, queries)
    with eval_mode(embed):
        seen = {
            "clean": clean,
            "occluded": CORRUPTIONS["occlusion"](clean, SEVERITY, rngs.generators),
            "attacked": ATTACK(embed, clean, seed),
        }
        looked = {name: _maps(embed, images, targets) for name, images in seen.items()}
        with _masked(cfg, model, seed):
            looked["LFM-masked"] = _maps(embed, clean, targets)
    return {name: looked[name] for name in CONDITIONS}


def _maps(embed: Embedding, images: Tensor, targets: Tensor) -> _Looked:
    size = (images.shape[2], images.shape[3])
    maps = activation_maps(embed, images, targets)
    return _Looked(images.cpu(), *(resized(heat, size).cpu() for heat in maps))


@contextmanager
def _masked(cfg: CfgNode, model: ReIDModel, seed: int) -> Iterator[None]:
    """Has LFM mask every image behind the first stage, whatever the model was trained with."""
    stages = cast(Backbone, model.backbone).stages
    lfm = make(REGULARIZERS, "lfm", cfg, {"p": 1.0}).train()
    lfm.reseed(seed)
    before = dict(model.regularizers.items())
    try:
        model.regularizers.clear()
        model.regularizers.update({"conv1" if "conv1" in stages else stages[0]: lfm})
        with config_errors("MODEL.REGULARIZER.LFM"):
            yield
    finally:
        model.regularizers.clear()
        model.regularizers.update(before)


def _draw(
    output: Path,
    lists: Lists,
    queries: Sequence[int],
    looked: dict[str, dict[str, _Looked]],
) -> None:
    """Draws, for each query and model, a row with the image and two maps for each condition."""
    rows: list[list[Tile | None]] = []
    captions = []
    for row, query in enumerate(queries):
        path = lists.path("query", query)
        for name, conditions in looked.items():
            rows.append([tile for one in conditions.values() for tile in _tiles(one, row)])
            file = path.name if path is not None else ""
            captions.append(f"{file}, {name}" if len(looked) > 1 else file)
    wide = 1 + len(MAPS)
    titles = {wide * i: name for i, name in enumerate(CONDITIONS)}
    for start in list(titles):
        titles |= {start + 1 + i: name for i, name in enumerate(MAPS)}
    wider = range(wide, wide * len(CONDITIONS), wide)
    sheet = draw_tiles(rows, titles=titles, captions=captions, wider_before=wider)
    write_whole(output, lambda file: sheet.save(file, "PNG"))


def _tiles(one: _Looked, row: int) -> list[Tile]:
    """Returns an image and its maps."""
    image = _pixels(one.images[row])
    maps = [overlay(image, _drawn_size(heat[row])) for heat in (one.norm, one.grad_cam)]
    return [Tile(image), *map(Tile, maps)]


def _pixels(image: Tensor) -> np.ndarray:
    """Returns an image in [0, 1] as (128, 64, 3) uint8."""
    levels = (255 * image.permute(1, 2, 0)).round().to(torch.uint8).contiguous().numpy()
    return np.array(Image.fromarray(levels).resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR))


def _drawn_size(heat: Tensor) -> np.ndarray:
    return resized(heat[None], SIZE)[0].numpy()


def _shares(lists: Lists, queries: Sequence[int], looked: dict[str, dict[str, _Looked]]) -> str:
    """Returns a table of the mean share of each map that lies on the visible person."""
    known = masks_of(lists, queries)
    if not known:
        return "how much of a map lies on the person is known of drawn people only"
    rows = []
    for condition in CONDITIONS:
        for name, conditions in looked.items():
            first = [name] if len(looked) > 1 else []
            shares = _on_person(conditions[condition], conditions["clean"], condition, known)
            rows.append([condition, *first, *(f"{100 * share:.1f}" for share in shares)])
    headers = ["images", *(["run"] if len(looked) > 1 else [])]
    headers += [*(f"{name} on the person %" for name in MAPS), "a flat map %"]
    return f"{len(known)} queries, mean share\n{tabulate(rows, headers, disable_numparse=True)}"


def _on_person(
    one: _Looked, clean: _Looked, condition: str, known: dict[int, np.ndarray]
) -> list[float]:
    """Returns the mean shares of both maps on the visible person, and that of a flat map."""
    rows = list(known)
    visible = at_size(known, (one.images.shape[2], one.images.shape[3]))
    if condition == "occluded":
        visible = visible * (one.images[rows] == clean.images[rows]).all(1)
    # A map that is 0 everywhere has no share.
    shares = [share_inside(heat[rows], visible).nanmean() for heat in (one.norm, one.grad_cam)]
    return [float(share) for share in (*shares, visible.mean())]
