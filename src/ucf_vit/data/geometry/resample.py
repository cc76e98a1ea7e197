"""Resampling of images and masks to a new grid, and of values back to the grid they came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ucf_vit.core.errors import DataError
from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.geometry.weights import Kind, apply, nearest, weights

ANISOTROPY = 3.0
"""Ratio of spacings above which values between slices are not interpolated (Isensee et al. 2021, nnU-Net)."""


def coarse_axis(grid: Regrid) -> int | None:
    """Returns the axis between slices: the only one whose spacing, before or after, is more than `ANISOTROPY`
    times the finest; None where there is no such axis.
    """
    after = np.array(grid.geometry.spacing)
    before = after / np.array(grid.steps)
    for spacing in (before, after):
        coarse = np.flatnonzero(spacing > ANISOTROPY * spacing.min())
        if len(coarse) == 1:
            return int(coarse[0])
    return None


def resample_image(image: NDArray[Any], grid: Regrid) -> NDArray[np.float32]:
    """Returns `[..., *T]` from the box `[..., *S]` of an image, by cubic splines along each axis.

    Slices further apart than `coarse_axis` allows are repeated or left out instead. Axes that shrink are
    smoothed first. NaN stays where the nearest voxel has it, and changes no other value. Raises DataError for
    infinite values.
    """
    values = np.ascontiguousarray(image, np.float32)
    missing = np.isnan(values)
    if np.isinf(values).any():
        raise DataError("holds infinite values, or values too large for float32; they can't be resampled")
    if missing.any():
        values = _filled(values, missing, len(grid.shape))
    coarse = coarse_axis(grid)
    kinds: list[Kind] = ["nearest" if axis == coarse else "cubic" for axis in range(len(grid.shape))]
    resampled = apply(forward_matrices(grid, kinds), torch.from_numpy(values)).numpy()
    if missing.any():
        resampled[resample_nearest(missing, grid)] = np.nan
    return resampled


def resample_mask(mask: NDArray[Any], grid: Regrid) -> NDArray[np.bool_]:
    """Returns `[..., *T]`: where more than half of a voxel is in the mask (not 0), linearly interpolated."""
    values = torch.from_numpy(np.ascontiguousarray(mask != 0, np.float32))
    return (apply(forward_matrices(grid, "linear"), values) > 0.5).numpy()


def resample_nearest(values: NDArray[Any], grid: Regrid) -> NDArray[Any]:
    """Returns `[..., *T]` with the value of the nearest voxel."""
    sizes = zip(grid.sides, grid.shape, grid.steps, grid.offsets, strict=True)
    ahead = [np.arange(size) for size in values.shape[: values.ndim - len(grid.shape)]]
    return values[np.ix_(*ahead, *(nearest(*one) for one in sizes))]


def forward_matrices(grid: Regrid, kinds: Kind | list[Kind]) -> list[Tensor | None]:
    """Returns the matrices of `apply` from the box `[*S]` to the used grid `[*T]`, of one kind per axis."""
    kinds = kinds if isinstance(kinds, list) else [kinds] * len(grid.shape)
    sizes = zip(kinds, grid.sides, grid.shape, grid.steps, grid.offsets, strict=True)
    return [
        None if step == 1 else weights(kind, side, size, step, offset, smooth=True)
        for kind, side, size, step, offset in sizes
    ]


def backward_matrices(grid: Regrid) -> list[Tensor | None]:
    """Returns the matrices that interpolate linearly from the used grid `[*T]` to the box `[*S]`."""
    sizes = zip(grid.shape, grid.sides, grid.steps, grid.offsets, strict=True)
    return [
        None if step == 1 else weights("linear", size, side, 1 / step, -offset / step, smooth=False)
        for size, side, step, offset in sizes
    ]


def _filled(values: NDArray[np.float32], missing: NDArray[np.bool_], dims: int) -> NDArray[np.float32]:
    """Returns the values with NaN replaced by the nearest finite one of the same channel."""
    flat = values.reshape(-1, *values.shape[values.ndim - dims :]).copy()
    for one, gone in zip(flat, missing.reshape(flat.shape), strict=True):
        if gone.all():
            one[...] = 0
        elif gone.any():
            where = ndimage.distance_transform_edt(gone, return_distances=False, return_indices=True)
            one[...] = one[tuple(where)]
    return flat.reshape(values.shape)
