"""Charts as SVG texts, drawn by matplotlib; equal charts are equal texts."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SIZE = (4.6, 3.0)  # inches
# Text stays text, so that it is sharp and small; ids come from the content and not from a random
# number.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "reid",
    "font.size": 9,
    "axes.edgecolor": "#777",
    "axes.labelcolor": "#333",
    "xtick.color": "#333",
    "ytick.color": "#333",
}
_NO_DATE: dict[str, Any] = {"Date": None, "Creator": None}

Line = tuple[Sequence[float], Sequence[float]]


def line_chart(
    lines: Mapping[str, Line],
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None,
    log_x: bool = False,
) -> str:
    """Draws lines with a legend. They differ in colour, marker and dash.

    Args:
        lines: Name -> (xs, ys).
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        y_range: Lowest and highest value of the vertical axis; None fits it to the lines.
        log_x: Whether the horizontal axis is logarithmic; else it counts in whole numbers.
    """
    from matplotlib.ticker import MaxNLocator

    from reid.visualization.curves import COLORS, MARKERS

    def draw(axes: Any) -> None:
        if log_x:
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for number, (name, (xs, ys)) in enumerate(lines.items()):
            axes.plot(
                xs,
                ys,
                label=name,
                color=COLORS[number % len(COLORS)],
                marker=MARKERS[number % len(MARKERS)],
                linestyle=("-", "--", ":")[number // len(COLORS) % 3],
                markersize=4,
                markevery=max(1, len(xs) // 8),
                linewidth=1.5,
            )
        if y_range is not None:
            axes.set_ylim(*y_range)

    return _chart(draw, x_label, y_label, len(lines))


def histogram(values: Mapping[str, np.ndarray], x_label: str, y_label: str, bins: int = 20) -> str:
    """Draws how numbers in [0, 1] are distributed, as outlines that may lie over each other.

    Args:
        values: Name -> (N,) numbers.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis: the share of the numbers in each bin, in percent.
        bins: Number of bins.
    """
    from reid.visualization.curves import COLORS

    edges = np.linspace(0, 1, bins + 1)

    def draw(axes: Any) -> None:
        for number, (name, numbers) in enumerate(values.items()):
            count, _ = np.histogram(numbers, edges)
            axes.stairs(
                100 * count / max(1, len(numbers)),
                100 * edges,
                label=name,
                color=COLORS[number % len(COLORS)],
                linestyle=("-", "--", "-.", ":")[number % 4],
                linewidth=1.5,
            )

    return _chart(draw, x_label, y_label, len(values))


def _chart(draw: Any, x_label: str, y_label: str, count: int) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    legend_rows = -(-count // 2)
    with matplotlib.rc_context(STYLE):
        size = (SIZE[0], SIZE[1] + 0.2 * legend_rows)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=_NO_DATE)
    return file.getvalue()
