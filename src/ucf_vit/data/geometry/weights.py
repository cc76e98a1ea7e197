"""Interpolation along one axis as a matrix, whose rows are the weights of the stored voxels.

An interpolation by a tensor product applies one matrix per axis: that takes a few matrix products in place
of 64 weights per voxel, and the same code serves images, labels, their return, and any device.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Kind = Literal["cubic", "linear", "nearest"]
_PAD = 12
"""Voxels by which the edge is continued: weights of a cubic spline are below 1e-7 after that many."""


@lru_cache(maxsize=128)
def weights(kind: Kind, size: int, count: int, step: float, offset: float, smooth: bool) -> Tensor:
    """Returns `[count, size]` float32: value j is interpolated at position `offset + step * j`.

    Positions outside have the value at the edge. "cubic" is the interpolating cubic B-spline (Unser 1999,
    "Splines: a perfect fit for signal and image processing"). With `smooth` and a step above 1 a Gaussian of
    (step - 1) / 2 voxels goes first, against aliasing, as in scikit-image's `resize`.
    """
    positions = np.clip(offset + step * np.arange(count), 0, size - 1)
    matrix = _interpolation(kind, size, positions)
    if smooth and step > 1:
        gaussian = ndimage.gaussian_filter1d(np.eye(size), (step - 1) / 2, axis=0, mode="nearest")
        matrix = matrix @ gaussian
    return torch.from_numpy(matrix.astype(np.float32))


def nearest(size: int, count: int, step: float, offset: float) -> NDArray[np.int64]:
    """Returns the voxel `[count]` nearest to each position."""
    positions = np.clip(offset + step * np.arange(count), 0, size - 1)
    return np.floor(positions + 0.5).astype(np.int64).clip(0, size - 1)


def _interpolation(kind: Kind, size: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == "nearest":
        return np.eye(size)[np.floor(positions + 0.5).astype(np.int64).clip(0, size - 1)]
    if kind == "linear":
        return np.clip(1 - np.abs(positions[:, None] - np.arange(size)), 0, None)
    apart = np.abs(positions[:, None] - np.arange(-_PAD, size + _PAD))
    basis = np.where(apart < 1, 2 / 3 - apart**2 + apart**3 / 2, np.clip(2 - apart, 0, None) ** 3 / 6)
    edges = np.pad(np.eye(size), ((_PAD, _PAD), (0, 0)), mode="edge")
    return np.asarray(basis @ ndimage.spline_filter1d(edges, 3, axis=0, mode="mirror"))


def apply(matrices: list[Tensor | None], values: Tensor) -> Tensor:
    """Returns `[..., *T]` from `[..., *S]`: one matrix per axis, None for an axis that stays."""
    dims = len(matrices)
    # Axes that shrink most go first: less is left for the others.
    order = sorted(
        range(dims), key=lambda k: 1.0 if (one := matrices[k]) is None else len(one) / one.shape[1]
    )
    for k in order:
        matrix = matrices[k]
        if matrix is not None:
            values = _along(matrix.to(values.device, values.dtype), values, values.ndim - dims + k)
    return values


def _along(matrix: Tensor, values: Tensor, axis: int) -> Tensor:
    shape = (*values.shape[:axis], len(matrix), *values.shape[axis + 1 :])
    if axis == values.ndim - 1:
        return (values.reshape(-1, values.shape[-1]) @ matrix.T).reshape(shape)
    ahead = int(np.prod(values.shape[:axis]))
    return (matrix @ values.reshape(ahead, values.shape[axis], -1)).reshape(shape)
