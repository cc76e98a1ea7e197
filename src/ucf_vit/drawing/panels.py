"""Picture of a task's panels side by side: 2D images whole, volumes as three orthogonal slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ucf_vit.drawing.style import GREY, class_colour, colour_classes, figure_files, grey_window

if TYPE_CHECKING:
    from ucf_vit.tasks.task import Panel

Array = NDArray[Any]
_COLUMN_WIDTH = 2.4
_MAX_LEGEND = 24


def draw_panels(
    name: str, panels: Sequence[Panel], class_names: Mapping[int, str] = MappingProxyType({})
) -> dict[str, bytes]:
    """Returns a figure with a column for each panel and a row for each slice, as files; see `figure_files`.

    All images are in one grey window.

    Volumes `[X, Y, Z]` are cut in the middle or, if there is a label, where each axis has most foreground.
    The first remaining axis of a slice points to the right, the second one upwards. NaN is blue-grey. Raises
    ValueError for panels of different shapes, or with other than 2 or 3 dimensions.
    """
    shapes = {panel.image.shape for panel in panels}
    if len(shapes) != 1 or len(min(shapes)) not in (2, 3):
        raise ValueError(f"pictures need panels of one 2D or 3D shape, got {sorted(shapes)}")
    cuts = _cuts(panels)
    rows = [[_cut(panel.image, axis, index) for panel in panels] for axis, index in cuts]
    heights = [float(np.clip(row[0].shape[0] / row[0].shape[1], 0.25, 2.0)) for row in rows]

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(rows), len(panels), squeeze=False, height_ratios=heights)
        window = _window(panels, rows)
        for axes_row, row, cut in zip(grid, rows, cuts, strict=True):
            for axes, panel, image in zip(axes_row, panels, row, strict=True):
                _show(axes, image, panel.kind, window)
            axes_row[0].set_ylabel("" if cut[0] is None else f"{'xyz'[cut[0]]} = {cut[1]}")
        for axes, panel in zip(grid[0], panels, strict=True):
            axes.set_title(panel.title)
        labels = [image for row in rows for image, p in zip(row, panels, strict=True) if p.kind == "label"]
        _add_legend(figure, labels, class_names)

    return figure_files(name, _COLUMN_WIDTH * max(2, len(panels)), _COLUMN_WIDTH * sum(heights) + 0.7, draw)


def _cuts(panels: Sequence[Panel]) -> list[tuple[int | None, int]]:
    """Returns (axis, index) of each slice; axis None is the whole 2D image."""
    shape = panels[0].image.shape
    if len(shape) == 2:
        return [(None, 0)]
    label = next((panel.image for panel in panels if panel.kind == "label"), np.zeros(shape))
    foreground = np.greater(label, 0)
    cuts: list[tuple[int | None, int]] = []
    for axis in (2, 1, 0):
        area = np.count_nonzero(foreground, axis=tuple(other for other in range(3) if other != axis))
        cuts.append((axis, int(area.argmax()) if area.any() else shape[axis] // 2))
    return cuts


def _cut(image: Array, axis: int | None, index: int) -> Array:
    """Returns a slice `[H, W]`; of a volume with its first remaining axis to the right, its second one up."""
    return image if axis is None else image.take(index, axis=axis).T[::-1]


def _window(panels: Sequence[Panel], rows: Sequence[Sequence[Array]]) -> tuple[float, float]:
    """Returns the grey window of the slices of the first image."""
    first = next((i for i, panel in enumerate(panels) if panel.kind == "image"), 0)
    return grey_window([row[first] for row in rows])


def _show(axes: Axes, image: Array, kind: str, window: tuple[float, float]) -> None:
    if kind == "label":
        axes.imshow(colour_classes(image), interpolation="nearest")
    else:
        axes.imshow(
            image.astype(np.float64), cmap=GREY, vmin=window[0], vmax=window[1], interpolation="nearest"
        )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _add_legend(figure: Figure, labels: Sequence[Array], names: Mapping[int, str]) -> None:
    """Adds a legend of the visible classes in their colours, by name or number."""
    if not labels:
        return
    numbers = sorted({int(number) for label in labels for number in np.unique(label)})
    handles = [
        Patch(
            facecolor=class_colour(n),
            edgecolor="#8c8c8c",
            linewidth=0.5,
            label="ignored" if n < 0 else names.get(n, str(n)),
        )
        for n in numbers[:_MAX_LEGEND]
    ]
    columns = 6 if names else 12
    place = "outside lower center"
    figure.legend(handles=handles, loc=place, ncols=columns, title="class", handlelength=1.2)
