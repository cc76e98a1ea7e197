"""Pictures of cases: contours of label and prediction over the image, beside both as areas of colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ucf_vit.core.text import printable
from ucf_vit.drawing.style import GREY, class_colour, colour_classes, figure_files

Array = NDArray[Any]
_SIDE, _MOST_CLASSES = 2.7, 12


def draw_case(
    name: str,
    title: str,
    image: Array | None,
    label: Array,
    predicted: Array,
    spacing: Sequence[float],
    class_names: Mapping[int, str],
) -> dict[str, bytes]:
    """Returns a figure of one case, 2D or 3D, as files; see `figure_files`.

    `image` `[*S]` is grey (None: black), `label` and `predicted` are class numbers. A volume is cut across
    its last axis where the label has most foreground. Sides have the proportions of the
    `spacing`.
    """
    cut = _widest(label, predicted) if label.ndim == 3 else None
    slices = [_cut(one, cut) for one in (np.zeros_like(label) if image is None else image, label, predicted)]
    steps = (spacing[1], spacing[0]) if label.ndim == 3 else (spacing[0], spacing[1])
    ratio = float(np.clip(slices[0].shape[0] * steps[0] / (slices[0].shape[1] * steps[1]), 0.4, 1.6))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 3, squeeze=False)[0]
        aspect = steps[0] / steps[1]
        panels[0].imshow(slices[0], cmap=GREY, interpolation="nearest", aspect=aspect)
        for style, mask in (("solid", slices[1]), ("dashed", slices[2])):
            _contours(panels[0], mask, style)
        for axes, mask in zip(panels[1:], slices[1:], strict=True):
            axes.imshow(colour_classes(mask), interpolation="nearest", aspect=aspect)
        place = "" if cut is None else f", slice {cut + 1} of {label.shape[2]}"
        for axes, text in zip(panels, (f"image{place}", "label", "prediction"), strict=True):
            axes.set(title=text, xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.grid(visible=False)
        figure.suptitle(printable(title), fontsize=9.5)
        _legend(figure, slices[1:], class_names)

    return figure_files(name, 3 * _SIDE, _SIDE * ratio + 1.0, draw)


def _widest(label: Array, predicted: Array) -> int:
    """Returns the slice with most of the label; of an empty one, with most of the prediction."""
    area = np.count_nonzero(label if label.any() else predicted, axis=(0, 1))
    return int(area.argmax()) if area.any() else label.shape[2] // 2


def _cut(array: Array, index: int | None) -> Array:
    """Returns a slice `[H, W]`; of a volume with its first axis to the right, its second one up."""
    return array if index is None else array[..., index].T[::-1]


def _contours(axes: Axes, classes: Array, style: str) -> None:
    for number in np.unique(classes[classes > 0]).tolist():
        mask = np.pad((classes == number).astype(np.float64), 1)
        rows, columns = (np.arange(-1, side + 1) for side in classes.shape)
        options: dict[str, Any] = {"linewidths": 1.2, "linestyles": style, "colors": [class_colour(number)]}
        axes.contour(columns, rows, mask, levels=[0.5], **options)


def _legend(figure: Figure, masks: Sequence[Array], names: Mapping[int, str]) -> None:
    numbers = sorted({int(number) for mask in masks for number in np.unique(mask) if number > 0})
    handles: list[Any] = [
        Line2D([], [], color="#8c8c8c", linestyle="solid", label="label"),
        Line2D([], [], color="#8c8c8c", linestyle="dashed", label="prediction"),
    ]
    handles += [Patch(color=class_colour(n), label=names.get(n, str(n))) for n in numbers[:_MOST_CLASSES]]
    if len(numbers) > _MOST_CLASSES:
        handles.append(Patch(alpha=0, label=f"... ({len(numbers)} in all)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=1.6)
