"""Draws the pictures of the documents: python scripts/draw_documents.py layers.

``layers`` and ``life`` need nothing. ``lfm IMAGE --weight FILE`` needs a checkpoint whose network
begins with conv1, such as the one of the quickstart, and one of its query images. ``small PICTURE``
writes the upper rows of a picture with 128 colours, such as of a contact sheet that an attack
wrote. ``report PAGE`` opens a page of ``reid report`` in Chromium. No picture is larger than
200 kB; a test says so.
"""

import argparse
import re
import shutil
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image

import reid
from reid.modeling import LocalFeatureMasking

DOCS = Path(__file__).resolve().parents[1] / "docs"
INK = "#1d2733"
FILLS = ("#e8eef7", "#dcebe3", "#fbf0d9", "#f7e3e0", "#ece4f4")


def box(axes: Axes, place: tuple[float, float, float, float], text: str, fill: str) -> None:
    """Draws a box at (left, bottom, width, height) with a text in it."""
    left, bottom, width, height = place
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom), width, height,
            boxstyle="round,pad=0,rounding_size=0.08", facecolor=fill, edgecolor=INK, linewidth=0.8,
        )
    )  # fmt: skip
    axes.text(
        left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=8, color=INK
    )


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draws an arrow."""
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=INK, linewidth=0.9)
    )


def empty(width: float, height: float) -> tuple[Figure, Axes]:
    """Makes a figure of so many inches, whose units are inches, too."""
    figure = Figure(figsize=(width, height), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    return figure, axes


def layers() -> Figure:
    """The levels of docs/design.md, highest first; a package imports from the rows below it."""
    text = (DOCS / "design.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    levels = [re.findall(r"\w+", level) for level in text.split("->")]
    figure, axes = empty(8.4, 0.62 * len(levels) + 0.2)
    for row, names in enumerate(levels):
        bottom = 0.62 * (len(levels) - 1 - row) + 0.2
        width = min(1.6, 8.0 / len(names) - 0.1)
        left = 4.2 - len(names) * (width + 0.1) / 2
        for name in names:
            box(axes, (left + 0.05, bottom, width, 0.42), name, FILLS[row % len(FILLS)])
            left += width + 0.1
        if row:
            arrow(axes, (4.2, bottom + 0.62), (4.2, bottom + 0.43))
    return figure


TRAINING = ("file", "decoded once:\nuint8, resized", "batch of P x K,\naugmented",
            "conv1", "LFM", "bn1 ... layer4,\npooling", "head", "triplet + ID loss")  # fmt: skip
TESTING = ("file", "decoded,\nresized", "batch in order", "conv1", "(nothing)",
           "bn1 ... layer4,\npooling", "neck", "distances,\nplaces, AP")  # fmt: skip


def life() -> Figure:
    """From a file to a loss, and from a file to a place in a ranking."""
    figure, axes = empty(10.4, 2.5)
    for name, steps, bottom, fill in (
        ("training", TRAINING, 1.35, FILLS[0]),
        ("testing", TESTING, 0.25, FILLS[1]),
    ):
        axes.text(0.1, bottom + 0.82, name, fontsize=9, color=INK, weight="bold")
        for place, step in enumerate(steps):
            left = 0.1 + 1.29 * place
            shade = FILLS[3] if step == "LFM" else fill
            box(axes, (left, bottom, 1.09, 0.68), step, shade)
            if place:
                arrow(axes, (left - 0.21, bottom + 0.34), (left, bottom + 0.34))
    return figure


def conv1_map(weight: Path, image: Path) -> torch.Tensor:
    """The map of conv1, (1, C, H, W), of one image in the network of a checkpoint."""
    model = reid.load(weight, device="cpu")
    kept: list[torch.Tensor] = []
    found = dict(model.embedding.named_modules())
    name = next(name for name in found if name.rsplit(".", 1)[-1] == "conv1")
    handle = found[name].register_forward_hook(lambda *call: kept.append(call[2].detach()))
    model.embed([image])
    handle.remove()
    return kept[0].float()


def lfm(weight: Path, image: Path, channels: int = 4, masks: int = 20_000) -> Figure:
    """One image, some channels of conv1 before and after, and how often each place is hit."""
    before = conv1_map(weight, image)
    mask = LocalFeatureMasking(p=1.0, num_channels=before.shape[1] // 2).train()
    mask.reseed(5)
    after = mask(before)
    hit = (before != after).flatten(2).any(2)[0].nonzero().flatten()[:channels].tolist()
    blank = torch.full((1, 1, *before.shape[2:]), -1.0)
    single = LocalFeatureMasking(p=1.0, num_channels=1).train()
    single.reseed(0)
    often = sum((single(blank)[0, 0] >= 0).float() for _ in range(masks)) / masks

    figure = Figure(figsize=(8.4, 4.3), dpi=110)
    grid = figure.subplots(2, channels + 2)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    with Image.open(image) as opened:
        grid[0, 0].imshow(np.asarray(opened))
    grid[0, 0].set_title("image", fontsize=8)
    grid[1, 0].axis("off")
    for column, channel in enumerate(hit, 1):
        maps = [one[0, channel].numpy() for one in (before, after)]
        low, high = min(m.min() for m in maps), max(m.max() for m in maps)
        for row, one in enumerate(maps):
            grid[row, column].imshow(one, cmap="viridis", vmin=low, vmax=high)
        changed = np.argwhere(maps[0] != maps[1])
        (top, left), (bottom, right) = changed.min(0), changed.max(0)
        grid[1, column].add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left + 1, bottom - top + 1,
                      fill=False, edgecolor="#d1495b", linewidth=1.4)
        )  # fmt: skip
        grid[0, column].set_title(f"channel {channel}", fontsize=8)
    grid[0, 1].set_ylabel("before", fontsize=8)
    grid[1, 1].set_ylabel("after", fontsize=8)
    grid[0, -1].axis("off")
    shown = grid[1, -1].imshow(often.numpy(), cmap=colormaps["magma"], vmin=0)
    grid[1, -1].set_title("how often", fontsize=8)
    figure.colorbar(shown, ax=grid[1, -1], fraction=0.09).ax.tick_params(labelsize=7)
    figure.tight_layout()
    return figure


def small(picture: Path, height: int) -> Image.Image:
    """The upper part of a picture, in 128 colours."""
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    return image.crop((0, 0, image.width, min(height, image.height))).quantize(128)


def report(page: Path, out: Path) -> None:
    """The top of a report, as Chromium shows it at 1100 x 760."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 1100, "height": 760})
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=str(out))
        browser.close()
    small(out, 760).save(out, optimize=True)


def main() -> None:
    """Draws the picture that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", choices=["layers", "life", "lfm", "small", "report"])
    parser.add_argument("source", type=Path, nargs="?", help="an image, or the page of a report")
    parser.add_argument("--weight", type=Path, default=Path("outputs/synthetic_lfm/last.pth"))
    parser.add_argument("--height", type=int, default=620, help="rows of pixels that are kept")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    names = {"layers": "layers.png", "life": "image_life.png", "lfm": "lfm.png"}
    out = args.output or DOCS / names.get(args.picture, f"{args.picture}.png")
    if args.picture in ("lfm", "small", "report") and args.source is None:
        parser.error(f"{args.picture} needs a file")
    if args.picture == "report":
        report(args.source, out)
    elif args.picture == "small":
        small(args.source, args.height).save(out, optimize=True)
    else:
        whole = {"layers": layers, "life": life}
        drawn = whole[args.picture]() if args.picture in whole else lfm(args.weight, args.source)
        drawn.savefig(out)
        small(out, 10_000).save(out, optimize=True)
    print(f"written: {out}, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
