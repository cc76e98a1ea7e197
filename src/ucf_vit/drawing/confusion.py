"""Confusion matrix, and a grid of classified pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ucf_vit.core.text import printable
from ucf_vit.drawing.style import figure_files

MOST = 30
"""Number of classes up to which a confusion matrix is drawn."""
_COLUMNS = 6


class Example(NamedTuple):
    """A classified picture `[H, W]` or `[H, W, 3]` uint8, its title, and whether its class is right."""

    picture: NDArray[Any]
    title: str
    right: bool


def draw_confusion(counts: NDArray[np.int64], names: Sequence[str]) -> dict[str, bytes]:
    """Returns the confusion matrix `[K, K]` (rows: labels) as files, see `figure_files`.

    Colours are shares of each row, numbers are cases. Nothing for more than `MOST` classes.
    """
    if len(counts) > MOST:
        return {}
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    side = 1.6 + 0.42 * len(counts)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "#1c2430"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
        short = [name if len(name) <= 18 else f"{name[:17]}…" for name in map(printable, names)]
        axes.set(xticks=range(len(names)), yticks=range(len(names)), xlabel="predicted", ylabel="label")
        axes.set_xticklabels(short, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticklabels(short)
        axes.grid(visible=False)

    return figure_files("confusion", side + 0.8, side, draw)


def draw_examples(examples: Sequence[Example], name: str = "examples") -> dict[str, bytes]:
    """Returns pictures in rows, wrong ones with a red frame, as files; see `figure_files`."""
    rows = -(-len(examples) // _COLUMNS)

    def draw(figure: Figure) -> None:
        panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
        for axes in panels:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.grid(visible=False)
        for axes, one in zip(panels, examples, strict=False):
            axes.imshow(one.picture, cmap="gray", vmin=0, vmax=255)
            axes.set_title(printable(one.title), fontsize=7)
            if not one.right:
                axes.spines[:].set(visible=True, color="#d55e00", linewidth=2.5)

    return figure_files(name, 8.6, 1.75 * rows + 0.2, draw) if examples else {}
