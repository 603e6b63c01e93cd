"""Line charts as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure  # not pyplot: no global state, no display

from reid.utils.errors import ArgumentError
from reid.utils.logs import write_whole

# Okabe & Ito's palette: people with any kind of colour vision can tell its colours apart. Markers
# and line styles distinguish lines of the same colour.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = "osD^vP*X"
WIDTH = 4.2  # inches per panel
HEIGHT = 3.2  # inches per panel
DPI = 150


class Panel(NamedTuple):
    """One chart.

    Attributes:
        title: Title above the chart.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        lines: Name -> (xs, ys), in the order of the legend.
    """

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]


def plot_curves(
    panels: Sequence[Panel],
    path: Path,
    columns: int = 2,
    y_range: tuple[float, float] = (0, 100),
) -> None:
    """Draws charts in rows with one legend for all, and writes them as PNG.

    A name has the same colour and marker in every chart.

    Args:
        panels: The charts.
        path: The PNG file.
        columns: Charts in a row.
        y_range: (lowest, highest) value on the vertical axis of every chart.

    Raises:
        ArgumentError: No panel has a line.
    """
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    if not names:
        raise ArgumentError("panels", "must hold at least one line, there is nothing to draw")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    legend_rows = -(-len(names) // (2 * columns))
    size = (WIDTH * columns, HEIGHT * rows + 0.25 * legend_rows)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    handles = {}
    for axis, panel in zip(axes, panels, strict=False):
        for name, (xs, ys) in panel.lines.items():
            index = names.index(name)
            (handles[name],) = axis.plot(
                xs,
                ys,
                color=COLORS[index % len(COLORS)],
                marker=MARKERS[index % len(MARKERS)],
                linestyle=("-", "--", ":")[index // len(COLORS) % 3],
                markersize=4,
                linewidth=1.4,
                clip_on=False,
            )
        axis.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label, ylim=y_range)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.legend(
        [handles[name] for name in names],
        names,
        loc="outside lower center",
        ncols=min(len(names), 2 * columns),
        frameon=False,
        fontsize="small",
    )
    # matplotlib would write its version into the file; without it, equal charts are equal files.
    write_whole(path, lambda file: figure.savefig(file, format="png", metadata={"Software": None}))
