"""Distributions of scores by class: a dot for each case, a box of the quartiles, a line from 5 to 95 %."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ucf_vit.drawing.style import class_colour, figure_files

_COLUMNS, _WIDTH, _ROW, _MOST_DOTS = 2, 4.0, 0.34, 5000


def draw_distributions(
    scores: Mapping[str, Mapping[str, Sequence[float]]], numbers: Mapping[str, int]
) -> dict[str, bytes]:
    """Returns a figure with a panel for each score, and in it a row for each class, as files by name.

    `scores` are the values of all cases by the title of a score and the name of a class; `numbers` are those
    of the classes, which have their colours. See `figure_files`.
    """
    rows = -(-len(scores) // _COLUMNS)
    classes = max((len(values) for values in scores.values()), default=1)
    height = rows * (0.75 + _ROW * max(classes, 2))

    def draw(figure: Figure) -> None:
        panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
        for axes in panels[len(scores) :]:
            axes.set_visible(False)
        for axes, (title, values) in zip(panels, scores.items(), strict=False):
            names = list(values)
            for place, name in enumerate(names):
                _row(axes, place, np.asarray(values[name], np.float64), class_colour(numbers.get(name, 1)))
            axes.set(title=title, yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
            axes.set_yticklabels([_short(name) for name in names])
            axes.grid(visible=False, axis="y")

    return figure_files("scores", _COLUMNS * _WIDTH, height, draw)


def _row(axes: Axes, place: int, values: NDArray[np.float64], colour: tuple[float, float, float]) -> None:
    """Draws the values of one class."""
    if not len(values):
        return
    jitter = np.random.default_rng(0).uniform(-0.16, 0.16, len(values))
    if len(values) <= _MOST_DOTS:
        axes.scatter(values, place + jitter, s=10, color=colour, alpha=0.7, linewidths=0)
    least, first, middle, third, most = np.percentile(values, (5, 25, 50, 75, 95))
    line = {"color": matplotlib.rcParams["ytick.color"], "linewidth": 0.9, "zorder": 3}
    axes.plot([least, first], [place, place], **line)
    axes.plot([third, most], [place, place], **line)
    axes.add_patch(Rectangle((first, place - 0.26), third - first, 0.52, fill=False, edgecolor=line["color"]))
    axes.plot([middle, middle], [place - 0.26, place + 0.26], color=colour, linewidth=2, zorder=4)


def _short(name: str, length: int = 30) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
