"""Pictures of cases: contours of label and prediction over the image, beside both as areas of colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ucf_vit.core.text import printable
from ucf_vit.drawing.style import GREY, class_colour, colour_classes, figure_files

Array = NDArray[Any]
_SIDE, _MOST_CLASSES = 2.7, 12
_STYLES = ("solid", "dashed", "dotted")
"""Lines of the label, and of up to two predictions."""


@dataclass(frozen=True)
class PicturedCase:
    """A case, 2D or 3D: `image` `[*S]` is grey (None: black).

    `label` and the `predictions` by title are class numbers `[*S]`.
    `spacing` is the distance of voxels along each axis. `oriented` says that the axes of a volume point to
    the right, to the front and up.
    """

    title: str
    image: Array | None
    label: Array
    predictions: Mapping[str, Array]
    spacing: Sequence[float]
    oriented: bool = False


def draw_case(name: str, case: PicturedCase, class_names: Mapping[int, str]) -> dict[str, bytes]:
    """Returns a figure of one case as files; see `figure_files`.

    A volume is cut across its last axis where the label has most foreground. Sides have the proportions of
    the spacing.
    """
    label, spacing = case.label, case.spacing
    cut = _widest([label, *case.predictions.values()]) if label.ndim == 3 else None
    shown = _cut(np.zeros_like(label) if case.image is None else case.image, cut)
    masks = {title: _cut(one, cut) for title, one in {"label": label, **case.predictions}.items()}
    steps = (spacing[1], spacing[0]) if label.ndim == 3 else (spacing[0], spacing[1])
    ratio = float(np.clip(shown.shape[0] * steps[0] / (shown.shape[1] * steps[1]), 0.4, 1.6))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 1 + len(masks), squeeze=False)[0]
        aspect = steps[0] / steps[1]
        panels[0].imshow(shown, cmap=GREY, interpolation="nearest", aspect=aspect)
        for style, mask in zip(_STYLES, masks.values(), strict=False):
            _contours(panels[0], mask, style)
        for axes, mask in zip(panels[1:], masks.values(), strict=True):
            axes.imshow(colour_classes(mask), interpolation="nearest", aspect=aspect)
        if case.oriented:
            _letters(panels[0])
        place = "" if cut is None else f", slice {cut + 1} of {label.shape[2]}"
        for axes, text in zip(panels, (f"image{place}", *map(printable, masks)), strict=True):
            axes.set(title=text, xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.grid(visible=False)
        figure.suptitle(printable(case.title), fontsize=9.5)
        _legend(figure, masks, class_names)

    return figure_files(name, (1 + len(masks)) * _SIDE, _SIDE * ratio + 1.0, draw)


def _letters(axes: Axes) -> None:
    """Writes the anatomical directions on the sides of an axial slice."""
    for x, y, letter in ((0.03, 0.5, "L"), (0.97, 0.5, "R"), (0.5, 0.96, "A"), (0.5, 0.04, "P")):
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "transform": axes.transAxes}
        axes.text(
            x, y, letter, color="white", path_effects=[withStroke(linewidth=2, foreground="black")], **style
        )


def _widest(masks: Sequence[Array]) -> int:
    """Returns the slice with most of the first mask that is not empty."""
    filled = next((mask for mask in masks if mask.any()), None)
    if filled is None:
        return masks[0].shape[2] // 2
    return int(np.count_nonzero(filled, axis=(0, 1)).argmax())


def _cut(array: Array, index: int | None) -> Array:
    """Returns a slice `[H, W]`; of a volume with its first axis to the right, its second one up."""
    return array if index is None else array[..., index].T[::-1]


def _contours(axes: Axes, classes: Array, style: str) -> None:
    for number in np.unique(classes[classes > 0]).tolist():
        mask = np.pad((classes == number).astype(np.float64), 1)
        rows, columns = (np.arange(-1, side + 1) for side in classes.shape)
        options: dict[str, Any] = {"linewidths": 1.2, "linestyles": style, "colors": [class_colour(number)]}
        axes.contour(columns, rows, mask, levels=[0.5], **options)


def _legend(figure: Figure, masks: Mapping[str, Array], names: Mapping[int, str]) -> None:
    numbers = sorted({int(number) for mask in masks.values() for number in np.unique(mask) if number > 0})
    handles: list[Any] = [
        Line2D([], [], color="#8c8c8c", linestyle=style, label=printable(title))
        for style, title in zip(_STYLES, masks, strict=False)
    ]
    handles += [Patch(color=class_colour(n), label=names.get(n, str(n))) for n in numbers[:_MOST_CLASSES]]
    if len(numbers) > _MOST_CLASSES:
        handles.append(Patch(alpha=0, label=f"... ({len(numbers)} in all)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=1.6)
