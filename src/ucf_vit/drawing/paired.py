"""Scores of two methods on the same cases: a dot for each case, on the diagonal where both are equal."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ucf_vit.core.text import printable
from ucf_vit.drawing.style import class_colour, figure_files

Array = NDArray[np.float64]
_COLUMNS, _SIDE, _MOST_CLASSES = 2, 4.0, 12


def draw_paired(
    name: str,
    methods: tuple[str, str],
    scores: Mapping[str, Mapping[str, tuple[Array, Array]]],
    numbers: Mapping[str, int],
) -> dict[str, bytes]:
    """Returns a figure with a square panel for each score, as files by name; see `figure_files`.

    `scores` are the values `[N]` of both methods by the title of a score and the name of a class; the first
    method is on the horizontal axis. `numbers` are those of the classes, which have their colours.
    """
    columns = min(_COLUMNS, len(scores))
    rows = -(-len(scores) // columns)
    classes = list(next(iter(scores.values()), {}))

    def draw(figure: Figure) -> None:
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in panels[len(scores) :]:
            axes.remove()
        for axes, (title, by_class) in zip(panels, scores.items(), strict=False):
            axes.set(title=title, xlabel=printable(methods[0]), ylabel=printable(methods[1]))
            _panel(axes, by_class, numbers)
        handles = [_dot(name, numbers) for name in classes[:_MOST_CLASSES]]
        if len(classes) > _MOST_CLASSES:
            handles.append(Line2D([], [], linestyle="", label=f"... ({len(classes)} in all)"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4)

    return figure_files(name, columns * _SIDE, rows * _SIDE + 0.5, draw)


def _panel(axes: Axes, by_class: Mapping[str, tuple[Array, Array]], numbers: Mapping[str, int]) -> None:
    for name, (one, other) in by_class.items():
        axes.scatter(one, other, s=14, color=class_colour(numbers.get(name, 1)), alpha=0.7, linewidths=0)
    values = np.concatenate([np.concatenate(pair) for pair in by_class.values()])
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.05
    ends = [low - margin, high + margin]
    axes.plot(ends, ends, color=matplotlib.rcParams["ytick.color"], linewidth=0.8, zorder=0)
    axes.set(xlim=ends, ylim=ends)
    axes.set_box_aspect(1)


def _dot(name: str, numbers: Mapping[str, int]) -> Line2D:
    colour = class_colour(numbers.get(name, 1))
    return Line2D([], [], linestyle="", marker="o", markersize=5, color=colour, label=printable(name))
