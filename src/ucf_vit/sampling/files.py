"""Files of samples: exact values, and pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.lists import first_few
from ucf_vit.drawing.style import GREY, grey_window, new_figure, render_png

Array = NDArray[Any]
PICTURE, VALUES, NEIGHBOURS, FIDELITY, SETTINGS = (
    "samples.png",
    "samples.npz",
    "neighbours.png",
    "fidelity.json",
    "samples.json",
)
_OURS = ("sample_*.nii.gz", PICTURE, VALUES, NEIGHBOURS, FIDELITY, SETTINGS)
_MOST_SHOWN = 64
_DPI = 150
_GREY = GREY.with_extremes(bad="white")
_MOST_NEIGHBOURS = 8
_COLOURS = {"red", "green", "blue"}


def names_of(number: int, dims: int, compare: bool) -> list[str]:
    """Returns the names of the files of `number` samples with `dims` spatial axes."""
    values = [VALUES] if dims == 2 else [f"sample_{i:03d}.nii.gz" for i in range(number)]
    return [*values, PICTURE, SETTINGS, *([NEIGHBOURS, FIDELITY] if compare else [])]


def open_folder(folder: Path, names: Sequence[str], overwrite: bool = False) -> None:
    """Creates `folder`; with `overwrite` the files `names` may be replaced. Removes former measurements.

    Raises UserError if the folder cannot be written, or holds samples that must not be replaced.
    """
    existing = sorted({path.name for pattern in _OURS for path in folder.glob(pattern)})
    others = [name for name in existing if name not in (*names, NEIGHBOURS, FIDELITY)]
    if existing and (others or not overwrite):
        shown = first_few(others or existing)
        way = "" if others else "replace them with --overwrite, or "
        raise UserError(f"--out {folder} holds other samples ({shown}); {way}name another directory")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as cause:
        raise UserError(f"--out {folder}: cannot be written ({cause.strerror or cause})") from None
    for name in (NEIGHBOURS, FIDELITY):
        (folder / name).unlink(missing_ok=True)


def write_values(folder: Path, samples: Tensor, variables: Sequence[str]) -> None:
    """Writes the float32 values of `samples` `[N, C, *S]`.

    2D samples go into one .npz file, `[N, H, W]` by variable; each 3D sample into a NIfTI file, `[X, Y, Z]`
    or `[X, Y, Z, C]`, with voxels as units.
    """
    values = samples.float().numpy()
    if values.ndim == 4:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{name: values[:, c] for c, name in enumerate(variables)})
        write_atomic(folder / VALUES, buffer.getvalue())
        return
    for number, volume in enumerate(values):
        stored = volume[0] if len(volume) == 1 else np.moveaxis(volume, 0, -1)
        nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), folder / f"sample_{number:03d}.nii.gz")


def draw_samples(samples: Tensor, variables: Sequence[str]) -> bytes:
    """Returns a PNG of the first samples: in colours if variables are red, green and blue, else by variable.

    Volumes are shown by their three middle slices.
    """
    shown = samples[:_MOST_SHOWN].float().numpy()
    blocks = [
        (", ".join(filter(None, (name, cut))), image, window)
        for name, values, window in _parts(shown, variables)
        for cut, image in _cuts(values, samples.ndim - 2)
    ]
    columns = min(len(shown), math.ceil(math.sqrt(len(shown) * len(blocks))))
    mosaics = [(title, _mosaic(images, columns), window) for title, images, window in blocks]
    width = float(np.clip(mosaics[0][1].shape[1] / _DPI, 6, 20))
    heights = [width * mosaic.shape[0] / mosaic.shape[1] for _, mosaic, _ in mosaics]
    with new_figure(width, sum(heights) + 0.3 * len(heights)) as figure:
        rows = figure.subplots(len(mosaics), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (title, mosaic, window) in zip(rows, mosaics, strict=True):
            _show(axes, mosaic, window)
            axes.set_title(title)
        return render_png(figure, _DPI)


def draw_neighbours(
    samples: Tensor, neighbours: Tensor, distances: Tensor, variables: Sequence[str]
) -> bytes:
    """Returns a PNG of the samples nearest to training tiles, each above its tile and their difference."""
    nearest = distances.argsort()[:_MOST_NEIGHBOURS]
    both = [images[nearest].float().numpy() for images in (samples, neighbours)]
    parts = [_parts(images, variables) for images in both]
    rows: list[tuple[str, Array, tuple[float, float]]] = []
    for (name, values, _), (_, others, window) in zip(*parts, strict=True):
        (_, first), (_, second) = (_cuts(images, samples.ndim - 2)[0] for images in (values, others))
        difference = first - second if first.ndim == 3 else (first - second).mean(-1)
        span = window[1] - window[0]
        rows += [
            (f"{name}: sample" if name else "sample", first, window),
            ("nearest", second, window),
            ("difference", difference, (-span / 2, span / 2)),
        ]
    size = 1.3
    high = size * rows[0][1].shape[1] / rows[0][1].shape[2]
    with new_figure(size * len(nearest) + 0.5, high * len(rows) + 0.4) as figure:
        grid = figure.subplots(len(rows), len(nearest), squeeze=False)
        for line, (title, images, window) in zip(grid, rows, strict=True):
            line[0].set_ylabel(title)
            for axes, image in zip(line, images, strict=True):
                _show(axes, image, window)
        for axes, number in zip(grid[0], nearest.tolist(), strict=True):
            axes.set_title(f"{number}: {distances[number]:.3g}")
        return render_png(figure)


def _parts(samples: Array, variables: Sequence[str]) -> list[tuple[str, Array, tuple[float, float]]]:
    """Returns name, values `[N, *S]` (colours `[N, H, W, 3]`) and grey window of each block of a picture."""
    if samples.ndim == 4 and set(variables) == _COLOURS and len(variables) == 3:
        order = [list(variables).index(name) for name in ("red", "green", "blue")]
        colours = np.moveaxis(samples[:, order], 1, -1)
        return [("", colours, _window(colours))]
    return [(name, samples[:, c], _window(samples[:, c])) for c, name in enumerate(variables)]


def _window(values: Array) -> tuple[float, float]:
    """Returns the window 0 to 1 for values in that range, else that of `grey_window`."""
    inside = values.min() >= -0.05 and values.max() <= 1.05 and np.ptp(values) > 0.5
    return (0.0, 1.0) if inside else grey_window([values])


def _cuts(values: Array, dims: int) -> list[tuple[str, Array]]:
    """Returns images unchanged, volumes `[N, X, Y, Z]` as three middle slices with x or y to the right."""
    if dims == 2:
        return [("", values)]
    slices = []
    for axis in (2, 1, 0):
        middle = values.shape[1 + axis] // 2
        image = values.take(middle, axis=1 + axis).swapaxes(1, 2)[:, ::-1]
        slices.append((f"{'xyz'[axis]} = {middle}", image))
    return slices


def _mosaic(images: Array, columns: int) -> Array:
    """Returns images `[N, H, W, ...]` on a grid with gaps of one pixel; NaN outside of images."""
    number, high, wide = images.shape[:3]
    rows = -(-number // columns)
    canvas = np.full((rows * (high + 1) - 1, columns * (wide + 1) - 1, *images.shape[3:]), np.nan, np.float32)
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        canvas[row * (high + 1) :, column * (wide + 1) :][:high, :wide] = image
    return canvas


def _show(axes: Any, image: Array, window: tuple[float, float]) -> None:
    scaled = np.clip((image - window[0]) / (window[1] - window[0]), 0, 1)
    if scaled.ndim == 3:
        scaled = np.nan_to_num(scaled, nan=1.0)
    axes.imshow(scaled, cmap=_GREY, vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
