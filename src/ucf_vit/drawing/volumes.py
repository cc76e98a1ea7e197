"""Pictures and animations of one volume, or image, with its label."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from nibabel.orientations import aff2axcodes, apply_orientation, io_orientation
from numpy.typing import NDArray
from PIL import Image

from ucf_vit.drawing.style import GREY, class_colour, colour_classes, grey_window, new_figure, render_png

Array = NDArray[Any]
PLANES = {"R": "sagittal", "A": "coronal", "S": "axial"}
"""Plane that is perpendicular to each axis of a volume in RAS orientation."""
_WIDTH, _OPACITY, _MOST_CLASSES = 3.2, 0.45, 16
_FRAME_SIDE, _MOST_FRAMES, _MILLISECONDS = 256, 120, 80


@dataclass(frozen=True)
class VolumeView:
    """Volume to draw: `image` `[C, *S]` with the names of its channels, and `label` `[*S]`, if any.

    `spacing` is the size of a voxel along each axis; `planes` are the names of the planes perpendicular to
    the axes. Values of the label below 0 are ignored voxels.
    """

    title: str
    image: Array
    channels: tuple[str, ...]
    label: Array | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)
    spacing: tuple[float, ...] = ()
    planes: tuple[str, ...] = ("", "", "")

    def turned(self, affine: NDArray[np.float64]) -> VolumeView:
        """Returns the volume with its axes to the right, to the front and up, as `affine` places them."""
        turn = io_orientation(affine)
        if self.image.ndim != 4 or np.isnan(turn).any():
            return self
        images = [apply_orientation(channel, turn) for channel in self.image]
        label = None if self.label is None else apply_orientation(self.label, turn)
        order = np.argsort(turn[:, 0])
        spacing = tuple(float(np.linalg.norm(affine[:3, axis])) for axis in order)
        codes = aff2axcodes(np.eye(4))
        planes = tuple(PLANES[code] for code in codes)
        return replace(self, image=np.stack(images), label=label, spacing=spacing, planes=planes)


def draw_volume(view: VolumeView) -> bytes:
    """Returns a PNG file with a row per channel and a column per plane, the label in colours over them.

    Planes are where the label has most foreground, else in the middle; sides have the proportions of the
    spacing. An image `[C, H, W]` is one column.
    """
    cuts = _cuts(view)
    widths, heights = zip(*(_side(view, axis) for axis, _ in cuts), strict=True)
    total, rows = _WIDTH * max(2, len(cuts)), len(view.channels)
    tallest = min(max(heights) * _WIDTH * len(cuts) / sum(widths), 2.5 * _WIDTH)
    with new_figure(total, tallest * rows + 0.9) as figure:
        grid = figure.subplots(rows, len(cuts), squeeze=False, width_ratios=widths)
        for axes_row, channel, name in zip(grid, view.image, view.channels, strict=True):
            window = grey_window([_cut(channel, *cut) for cut in cuts])
            for axes, cut in zip(axes_row, cuts, strict=True):
                _show(axes, view, channel, cut, window)
            axes_row[0].set_ylabel(name)
        for axes, (axis, index) in zip(grid[0], cuts, strict=True):
            axes.set_title(_title(view, axis, index))
        figure.suptitle(view.title, fontsize=10)
        _add_legend(figure, view, cuts)
        return render_png(figure)


def draw_gif(view: VolumeView) -> bytes:
    """Returns an animation through the slices of the last axis, channels side by side; loops forever."""
    frames = [Image.fromarray(frame) for frame in _frames(view)]
    stream = io.BytesIO()
    options = {"duration": _MILLISECONDS, "loop": 0, "optimize": False}
    frames[0].save(stream, format="GIF", save_all=True, append_images=frames[1:], **options)
    return stream.getvalue()


def _frames(view: VolumeView) -> Iterator[NDArray[np.uint8]]:
    """Yields slices `[H, W, 3]`, all of one size, at most `_MOST_FRAMES`."""
    volume = view.image.ndim == 4
    count = view.image.shape[-1] if volume else 1
    windows = [grey_window([channel[..., :: max(1, count // 16)]]) for channel in view.image]
    axis = 2 if volume else None
    width, height = _side(view, axis)
    scale = _FRAME_SIDE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    for index in range(0, count, -(-count // _MOST_FRAMES)):
        label = None if view.label is None else _cut(view.label, axis, index)
        tiles = []
        for channel, (low, high) in zip(view.image, windows, strict=True):
            grey = np.nan_to_num((_cut(channel, axis, index) - low) / (high - low)).clip(0, 1)
            pixels = np.repeat(grey[..., None], 3, axis=-1)
            if label is not None:
                over = _overlay(label)
                pixels = pixels * (1 - over[..., 3:]) + over[..., :3] * over[..., 3:]
            tile = Image.fromarray((255 * pixels).round().astype(np.uint8))
            tiles.append(np.asarray(tile.resize(size, Image.Resampling.NEAREST)))
        yield np.concatenate(tiles, axis=1)


def _cuts(view: VolumeView) -> list[tuple[int | None, int]]:
    """Returns (axis, index) of each slice; axis None is the whole image."""
    shape = view.image.shape[1:]
    if len(shape) == 2:
        return [(None, 0)]
    foreground = np.zeros(shape, bool) if view.label is None else view.label > 0
    cuts: list[tuple[int | None, int]] = []
    for axis in (2, 1, 0):
        area = np.count_nonzero(foreground, axis=tuple(other for other in range(3) if other != axis))
        cuts.append((axis, int(area.argmax()) if area.any() else shape[axis] // 2))
    return cuts


def _cut(array: Array, axis: int | None, index: int) -> Array:
    """Returns a slice `[H, W]`; of a volume with its first remaining axis to the right, its second one up."""
    return array if axis is None else array.take(index, axis=axis).T[::-1]


def _side(view: VolumeView, axis: int | None) -> tuple[float, float]:
    """Returns width and height of a slice, in the unit of the spacing."""
    shape = view.image.shape[1:]
    spacing = view.spacing or (1.0,) * len(shape)
    if axis is None:
        return shape[1] * spacing[1], shape[0] * spacing[0]
    right, up = (other for other in range(3) if other != axis)
    return shape[right] * spacing[right], shape[up] * spacing[up]


def _show(
    axes: Axes, view: VolumeView, channel: Array, cut: tuple[int | None, int], window: tuple[float, float]
) -> None:
    extent = (0, _side(view, cut[0])[0], 0, _side(view, cut[0])[1])
    options: dict[str, Any] = {"extent": extent, "interpolation": "nearest"}
    axes.imshow(_cut(channel, *cut).astype(np.float64), cmap=GREY, vmin=window[0], vmax=window[1], **options)
    if view.label is not None:
        axes.imshow(_overlay(_cut(view.label, *cut)), **options)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _overlay(label: Array) -> NDArray[np.float64]:
    """Returns colours and opacity `[H, W, 4]`: foreground lightly, its outline strongly, background not."""
    foreground = label > 0
    edge = np.zeros(label.shape, bool)
    for axis in (0, 1):
        steps = np.diff(label, axis=axis) != 0
        behind = [(0, 1) if a == axis else (0, 0) for a in (0, 1)]
        before = [(1, 0) if a == axis else (0, 0) for a in (0, 1)]
        edge |= np.pad(steps, behind) | np.pad(steps, before)
    opacity = np.where(foreground, np.where(edge, 0.9, _OPACITY), 0.0)
    return np.concatenate([colour_classes(label), opacity[..., None]], axis=-1)


def _title(view: VolumeView, axis: int | None, index: int) -> str:
    """Returns a text such as `axial, z = 12`; empty for an image."""
    if axis is None:
        return ""
    place = f"{'xyz'[axis]} = {index}"
    return f"{view.planes[axis]}, {place}" if view.planes[axis] else place


def _add_legend(figure: Figure, view: VolumeView, cuts: Sequence[tuple[int | None, int]]) -> None:
    """Adds the colours of the classes that are seen, by name."""
    label = view.label
    seen = [] if label is None else [np.unique(_cut(label, *cut)) for cut in cuts]
    numbers = sorted({int(number) for some in seen for number in some if number > 0})
    handles = [
        Patch(
            facecolor=class_colour(n),
            edgecolor="#8c8c8c",
            linewidth=0.5,
            label=view.label_names.get(n, str(n)),
        )
        for n in numbers[:_MOST_CLASSES]
    ]
    if len(numbers) > _MOST_CLASSES:
        handles.append(Patch(alpha=0, label=f"... ({len(numbers)} in all)"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=6, handlelength=1.2)
