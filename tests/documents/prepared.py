"""What a reader of the pages already has: data, images, weights of others, trained runs.

Each page has a folder of its own with the data sets and images of :func:`fill`. What
:data:`MAKERS` has is made when a command or a snippet of the page names it, and no earlier one has
made it.
"""

import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from ablation.studies import finished, study
from commands import run
from crops import picture, table
from fabricated import scores, write_attacked, write_tested
from PIL import Image
from published import FastReID, Layumi, randomize
from torch import nn

from reid.jobs.ablation.export import write_export
from reid.jobs.ablation.plan import Cell
from reid.jobs.ablation.record import write_study

DRAWN = "datasets/synthetic-tiny-seed0-wide"
SPLITS = ("bounding_box_train", "query", "bounding_box_test")
Maker = Callable[[Path], object]  # makes a path


def drawn(folder: Path, split: str = "*") -> list[Path]:
    """The drawn people's images, without distractors and junk."""
    images = (folder / DRAWN).glob(f"{split}/[0-9]*.jpg")
    return sorted(path for path in images if not path.name.startswith("0000"))


# Data sets


def market(folder: Path) -> None:
    """The drawn people, who have Market-1501's names; a query has the name that a page has."""
    home = folder / "datasets/Market-1501-v15.09.15"
    for split in SPLITS:
        shutil.copytree(folder / DRAWN / split, home / split)
    for image in drawn(folder, SPLITS[0])[::2]:  # more strangers, for a threshold
        shutil.copy(image, home / SPLITS[2])
    first = min(path.name for path in home.glob("query/*_c1*.jpg"))
    for path in sorted(home.glob(f"*/{first[:4]}_*.jpg")):
        name = "0005_c1s1_001351_00.jpg" if path.name == first else f"0005{path.name[4:]}"
        path.rename(path.with_name(name))


def duke(folder: Path) -> None:
    for path in drawn(folder):
        pid, place, frame, _ = path.stem.split("_")
        name = f"{pid}_{place[:2]}_f0{frame}.jpg"
        copy(path, folder / "datasets/dukemtmc-reid/DukeMTMC-reID" / path.parent.name / name)


def msmt17(folder: Path) -> None:
    """The drawn people of another training set, by the lists of MSMT17."""
    home = folder / "datasets/MSMT17_V1"
    lists: dict[str, list[str]] = {"train": [], "val": [], "query": [], "gallery": []}
    parts = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
    for split, part in parts.items():
        for number, path in enumerate(drawn(folder, split)):
            pid = f"{int(path.name[:4]):04d}"
            name = f"{pid}/{pid}_{number:03d}_0{path.name[6]}_0303morning_{number:04d}_0.jpg"
            copy(path, home / ("train" if part == "train" else "test") / name)
            lists[part].append(f"{name} {int(pid)}\n")
    lists["val"].append(lists["train"].pop())
    for part, lines in lists.items():
        (home / f"list_{part}.txt").write_text("".join(lines))


def viper(folder: Path) -> None:
    for number, camera in itertools.product(range(1, 25), "ab"):
        name = f"cam_{camera}/{number:03d}_{45 if camera == 'a' else 90}.bmp"
        picture(folder / "datasets/VIPeR" / name, 2 * number + (camera == "b"), (24, 64))


def prid2011(folder: Path) -> None:
    for number, camera in itertools.product(range(1, 25), "ab"):
        name = f"cam_{camera}/person_{number:04d}.png"
        home = folder / "datasets/prid_2011/single_shot"
        picture(home / name, 2 * number + (camera == "b"), (24, 64))


# Images of one's own


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def crops(folder: Path) -> None:
    """Eight people with four images each, in a folder for each."""
    names = ("anna", "ben", "carl", "dora", "emil", "frida", "gustav", "hanna")
    for name, (_, images) in zip(
        names, itertools.groupby(drawn(folder, SPLITS[0]), pid_of), strict=True
    ):
        for number, image in enumerate(itertools.islice(images, 4)):
            copy(image, folder / "crops" / name / f"{number}{image.suffix}")


def pid_of(path: Path) -> str:
    return path.name[:4]


def people_csv(folder: Path) -> None:
    """The same people as a list, with cameras and without a split."""
    images = drawn(folder, SPLITS[0])
    cells = [(str(path.relative_to(folder)), pid_of(path), path.name[6]) for path in images]
    table(folder / "people.csv", [("path", "identity", "camera"), *cells])


def some(folder: Path, name: str, count: int) -> None:
    """A folder of images that say nothing of identities: 1.jpg, 2.jpg, ..."""
    for number, image in enumerate(drawn(folder, SPLITS[2])[:count], 1):
        copy(image, folder / name / f"{number}.jpg")


PAIR = ("0019_c5s5_018646_00.jpg", "0019_c6s4_048896_00.jpg")  # of docs/verification.md


def fill(folder: Path) -> None:
    """Data sets and images, as the pages call them."""
    for make in (market, duke, msmt17, viper, prid2011, crops, people_csv):
        make(folder)
    some(folder, "new_crops", 3)
    some(folder, "more_crops", 3)
    some(folder, "more/of/them", 2)
    table(folder / "list.csv", [("path",), ("new_crops/1.jpg",), ("new_crops/2.jpg",)])
    queries = drawn(folder, "query")
    for place, name in enumerate(("a.jpg", "b.jpg", "query.jpg", *PAIR)):
        copy(queries[place], folder / name)
    with Image.open(queries[1]) as image:
        image.save(folder / "b.png")


def features() -> dict[str, np.ndarray]:
    """Features of another framework, as ``reid test --features`` takes them."""
    rng = np.random.default_rng(0)
    found = {}
    for side, count in (("query", 6), ("gallery", 24)):
        found[f"{side}_feats"] = rng.standard_normal((count, 8)).astype(np.float32)
        found[f"{side}_pids"] = np.arange(count) % 6
        found[f"{side}_camids"] = (side == "gallery") + np.arange(count) // 6 % 2
    return found


# Weights of others, with random values


def weights_of(net: Callable[[], nn.Module]) -> Maker:
    """A file of another project's network."""
    return lambda file: torch.save(dict(randomize(net()).state_dict()), file)


def mobilenet() -> nn.Module:
    """A MobileNetV2 without its classifier of ImageNet."""
    net = torchvision.models.mobilenet_v2()
    net.classifier = nn.Identity()
    return net


NARROW_50: dict[str, Any] = {"blocks": (3, 4, 6, 3), "bottleneck": True}

# Runs


def run_of(config: str, *more: str, weight: str = "last.pth") -> Maker:
    """A run that was trained, and tested plain and re-ranked, by the commands."""

    def make(out: Path) -> None:
        words = ["--config-file", config, *more, "OUTPUT_DIR", out.relative_to(Path.cwd())]
        run("train", *words)
        run("test", *words, "TEST.WEIGHT", f"{words[-1]}/{weight}", "TEST.RE_RANKING", "True")

    return make


def figures_of(level: float, seed: int) -> Maker:
    """A run of which only what its test and its attack found is there."""
    return lambda out: tested(out, level, seed)


def tested(out: Path, level: float, seed: int) -> None:
    write_tested(out, scores(level, seed), seed, scores(level / 2, seed + 50))
    aps = {("clean", "clean", 0.0): scores(level, seed)}
    aps |= {("attack", "pgd-fna", 4.0): scores(level / 4, seed + 90)}
    write_attacked(out, aps, seed)


LEVELS = {"plain": 0.2, "lfm": 0.3, "erasing": 0.4, "lfm_erasing": 0.45}


def studied(folder: Path) -> list[Cell]:
    """A study of four variants and three seeds, as if it had been run."""
    cells = finished(folder, LEVELS)
    write_study(study(folder, cells), cells, 1)
    return cells


def compared(record: Path) -> None:
    """A table of the same, and FILE.json, which says what it is made of."""
    studied(Path("outputs/ablation"))
    record.parent.mkdir(exist_ok=True)
    run("compare", "outputs/ablation", "--latex", record.with_suffix(""))


def exported(file: Path) -> None:
    """The same, as ``reid ablate --export`` writes it."""
    cells = studied(file.with_suffix(""))
    write_export(file, study(file.with_suffix(""), cells), cells)


# What the snippets of a page begin with


def names() -> dict[str, Any]:
    """Names that snippets use without making them, as a reader has such things."""
    made = features()
    ids = {f"{side[0]}_{kind}": made[f"{side}_{kind}"]
           for side in ("query", "gallery") for kind in ("pids", "camids")}  # fmt: skip
    images = ["a.jpg", "b.jpg"]
    return {
        "__name__": "page",
        "np": np,
        "frame": np.full((200, 150, 3), 128, np.uint8),
        "images": images,
        "files": images,
        "endless_images": iter(images * 3),
        "features": torch.ones(4, 64, 8, 4),
        **made,
        **ids,
    }


# What a page may name -> what makes it.
MAKERS: dict[str, Maker] = {
    "outputs/market_lfm": run_of("market_lfm.yml"),
    "outputs/market_baseline": run_of("market_baseline.yml"),
    "outputs/synthetic_lfm": run_of("synthetic_lfm.yml"),
    "outputs/synthetic_baseline": run_of("synthetic_baseline.yml"),
    "outputs/x": run_of("market_lfm.yml"),
    "outputs/lfm_s0": run_of("synthetic_lfm.yml"),
    "outputs/lfm_s1": run_of("synthetic_lfm.yml", "SEED", "1"),
    "outputs/baseline_s0": run_of("synthetic_baseline.yml"),
    "outputs/ablations/record_deep/plain/seed0": run_of("defences/plain.yml"),
    "outputs/ablations/record_deep/lfm/seed0": run_of("defences/lfm.yml"),
    "outputs/ablations/record_deep/lfm_zero/seed0": run_of("defences/lfm_zero.yml"),
    "outputs/ablations/record_deep/cells/seed0": run_of("defences/cells.yml"),
    "outputs/ablations/record_viper/lfm/seed0/data0": run_of("viper.yml"),
    "run": run_of("market_lfm.yml", "TEST.VERIFICATION", "True", weight="best.pth"),
    **{f"outputs/{name}": figures_of(0.4, seed) for seed, name in enumerate("abc")},
    **{f"outputs/{name}": figures_of(0.3, seed) for seed, name in enumerate("def")},
    "outputs/ablation": studied,
    "docs/results/ablation.json": exported,
    "table.tex.json": compared,
    "tables": lambda folder: compared(folder / "lfm.tex.json"),
    "market_sbs_R50.pth": weights_of(lambda: FastReID("sbs")),  # a ResNet-18
    "net_last.pth": weights_of(lambda: Layumi(**NARROW_50)),
    "mobilenet.pt": weights_of(mobilenet),
    "mobilenetv2_bottleneck_wts.pt": weights_of(mobilenet),
    "vit.pth": weights_of(lambda: timm.create_model("vit_small_patch16_224")),
    "saved.npz": lambda file: np.savez(file, **features()),
}


def named(text: str) -> list[str]:
    """Returns what MAKERS has of the paths in a text."""
    return [name for name in MAKERS if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", text)]


def prepare(text: str, made: Path) -> None:
    """Makes in this folder what a text names, unless it is there.

    Args:
        text: A command or a snippet.
        made: A folder that keeps what was made for another page.
    """
    for name in named(text):
        path, kept = Path(name).absolute(), made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kept.exists() and not path.exists():
            shutil.copytree(kept, path)
        elif not path.exists():
            MAKERS[name](path)
            if path.is_dir():
                shutil.copytree(path, kept)
