"""Where a run's network looks, on clean and on changed images: ``reid show RUN --activations``."""

import logging
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

from reid import builders
from reid.builders.common import build_device, make
from reid.config import config_errors, load_cfg
from reid.data.images import decode
from reid.evaluation.activations import activation_maps, resized, share_inside
from reid.evaluation.features import Embedding, eval_mode
from reid.evaluation.lists import Lists, chosen, found, query_named, read_lists
from reid.evaluation.places import METRICS_FILE, RANKING_FILE
from reid.jobs.show import SIZE, picture_of
from reid.modeling import REGULARIZERS, ReIDModel
from reid.modeling.backbones.registry import Backbone
from reid.robustness.adversarial_training import AdversarialTraining
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.rngs import ImageRNGs
from reid.synthetic.masks import mask_of
from reid.utils.batch import to_unit
from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, read_json
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
    folder: Path,
    counts: dict[str, int],
    names: Sequence[str],
    output: Path,
    root: Path | None = None,
) -> str:
    """Draws feature-norm and Grad-CAM maps of some queries of a tested run, and writes them as PNG.

    Grad-CAM explains the likeness to the nearest match of the query. Each query is shown clean;
    clean, with LFM behind the first stage; with an occluder; and under an attack.

    Args:
        folder: OUTPUT_DIR of a run whose own checkpoint was tested.
        counts: How many queries, by "worst", "median" and "best".
        names: Files of further queries.
        output: The PNG file.
        root: Where the images lie now; None takes the folder that the test read.

    Returns:
        The share of the maps that lies on the person, as a table; it is known of drawn people.

    Raises:
        InputError: The folder holds no run, its test kept no lists, or images are not there.
    """
    if not (folder / "config.yml").is_file():
        raise InputError(f"{folder} has no config.yml; name the OUTPUT_DIR of a run")
    cfg = load_cfg(folder / "config.yml")
    lists = read_lists(folder / RANKING_FILE, root)
    queries = [query_named(lists, name) for name in names]
    for which, count in counts.items():
        queries += chosen(lists, which, count)
    queries = list(dict.fromkeys(queries))
    if len(queries) > MOST_QUERIES:
        raise InputError(f"{len(queries)} queries are too many to draw; ask for {MOST_QUERIES}")
    logger = logging.getLogger("reid.show")
    model = builders.load_trained(cfg, _weight(folder), logger)
    looked = _look(cfg, model, lists, queries)
    _draw(output, lists, queries, looked)
    return _shares(lists, queries, looked)


def _weight(folder: Path) -> Path:
    """Returns the checkpoint that the lists are of.

    Raises:
        InputError: They are of none: of saved features or of a reference.
    """
    file = folder / METRICS_FILE
    metrics = fields(read_json(file, "the result of a test"), str(file), {}, {"weight": str})
    if "weight" not in metrics:
        raise InputError(f"{file} is of no checkpoint; test one (reid test) to see where it looks")
    named = Path(metrics["weight"])
    return named if named.is_file() else folder / named.name


def _look(
    cfg: CfgNode, model: ReIDModel, lists: Lists, queries: Sequence[int]
) -> dict[str, _Looked]:
    """Returns what is seen under each condition."""
    device = build_device(cfg)
    embed = Embedding(model, cfg.TEST.NECK_FEAT)
    size = tuple(cfg.INPUT.SIZE_TEST)
    clean = _images(lists, "query", queries, size).to(device)
    matches = [_match(lists, query) for query in queries]
    with torch.no_grad(), eval_mode(embed):
        targets = embed(_images(lists, "gallery", matches, size).to(device))
    rngs = ImageRNGs(cfg.SEED, queries)
    with eval_mode(embed):
        seen = {
            "clean": clean,
            "occluded": CORRUPTIONS["occlusion"](clean, SEVERITY, rngs.generators),
            "attacked": ATTACK(embed, clean, cfg.SEED),
        }
        looked = {name: _maps(embed, images, targets) for name, images in seen.items()}
        with _masked(cfg, model):
            looked["LFM-masked"] = _maps(embed, clean, targets)
    return {name: looked[name] for name in CONDITIONS}


def _maps(embed: Embedding, images: Tensor, targets: Tensor) -> _Looked:
    size = (images.shape[2], images.shape[3])
    maps = activation_maps(embed, images, targets)
    return _Looked(images.cpu(), *(resized(heat, size).cpu() for heat in maps))


@contextmanager
def _masked(cfg: CfgNode, model: ReIDModel) -> Iterator[None]:
    """Has LFM mask every image behind the first stage, whatever the model was trained with."""
    stages = cast(Backbone, model.backbone).stages
    lfm = make(REGULARIZERS, "lfm", cfg, {"p": 1.0}).train()
    lfm.reseed(cfg.SEED)
    before = dict(model.regularizers.items())
    try:
        model.regularizers.clear()
        model.regularizers.update({"conv1" if "conv1" in stages else stages[0]: lfm})
        with config_errors("MODEL.REGULARIZER.LFM"):
            yield
    finally:
        model.regularizers.clear()
        model.regularizers.update(before)


def _match(lists: Lists, query: int) -> int:
    """Returns the nearest match of a query, or one of another camera if none was kept."""
    for hit in found(lists, "plain", query, lists.rankings["plain"].places.shape[1]).hits:
        if hit.right:
            return hit.image
    same = np.flatnonzero(lists.gallery.pids == lists.query.pids[query])
    other = same[lists.gallery.camids[same] != lists.query.camids[query]]
    return int((other if len(other) else same)[-1])


def _images(lists: Lists, side: str, indices: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Returns images, (B, 3, H, W) in [0, 1]."""
    pixels = []
    for index in indices:
        picture_of(lists, side, index)  # says how to mend it if there is no image
        path = lists.path(side, index)
        assert path is not None
        pixels.append(torch.from_numpy(decode(path, size).copy()).permute(2, 0, 1))
    return to_unit(torch.stack(pixels))


def _draw(output: Path, lists: Lists, queries: Sequence[int], looked: dict[str, _Looked]) -> None:
    """Draws a row for each query, and for each condition the image and its two maps."""
    rows: list[list[Tile | None]] = []
    for row in range(len(queries)):
        tiles: list[Tile | None] = []
        for one in looked.values():
            image = _pixels(one.images[row])
            tiles.append(Tile(image))
            for heat in (one.norm, one.grad_cam):
                tiles.append(Tile(overlay(image, _drawn_size(heat[row]))))
        rows.append(tiles)
    wide = 1 + len(MAPS)
    titles = {wide * i: name for i, name in enumerate(looked)}
    for start in list(titles):
        titles |= {start + 1 + i: name for i, name in enumerate(MAPS)}
    paths = [lists.path("query", query) for query in queries]
    captions = [path.name if path is not None else "" for path in paths]
    wider = range(wide, wide * len(looked), wide)
    sheet = draw_tiles(rows, titles=titles, captions=captions, wider_before=wider)
    write_whole(output, lambda file: sheet.save(file, "PNG"))


def _pixels(image: Tensor) -> np.ndarray:
    """Returns an image in [0, 1] as (128, 64, 3) uint8."""
    levels = (255 * image.permute(1, 2, 0)).round().to(torch.uint8).contiguous().numpy()
    return np.array(Image.fromarray(levels).resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR))


def _drawn_size(heat: Tensor) -> np.ndarray:
    return resized(heat[None], SIZE)[0].numpy()


def _shares(lists: Lists, queries: Sequence[int], looked: dict[str, _Looked]) -> str:
    """Returns a table of the mean share of each map that lies on the visible person."""
    paths = [lists.path("query", query) for query in queries]
    masks = [mask_of(path) if path is not None else None for path in paths]
    known = [row for row, mask in enumerate(masks) if mask is not None]
    if not known:
        return "how much of a map lies on the person is known of drawn people only"
    person = torch.stack([torch.from_numpy(masks[row]) for row in known])
    size = looked["clean"].images.shape[2:]
    area = torch.nn.functional.interpolate(person[:, None], tuple(size), mode="area")[:, 0]
    clean = looked["clean"].images[known]
    rows = []
    for name, one in looked.items():
        visible = area
        if name == "occluded":
            visible = area * (one.images[known] == clean).all(1)
        # A map that is 0 everywhere has no share.
        shares = [share_inside(heat[known], visible).nanmean() for heat in (one.norm, one.grad_cam)]
        rows.append([name, *(f"{100 * float(share):.1f}" for share in (*shares, visible.mean()))])
    headers = ("images", *(f"{name} on the person %" for name in MAPS), "a flat map %")
    return f"{len(known)} queries, mean share\n{tabulate(rows, headers, disable_numparse=True)}"
