"""Labels on another grid: each class is interpolated as a mask, and the largest share wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.geometry.resample import backward_matrices, forward_matrices, resample_nearest
from ucf_vit.data.geometry.weights import apply

MOST = 256
"""Labels with more distinct values, such as instances, get the value of the nearest voxel."""
_SPAN = 2**16


def resample_label(label: NDArray[Any], grid: Regrid) -> NDArray[Any]:
    """Returns `[*T]` in the stored type from the box `[*S]` of a label (any type, NaN included).

    The share of each value is interpolated linearly, smoothed first along axes that shrink. With more than
    `MOST` distinct values the nearest voxel counts.
    """
    values, codes = _coded(label)
    if len(values) > MOST:
        return resample_nearest(label, grid)
    return values[_largest_share(codes, len(values), forward_matrices(grid, "linear"))]


def label_back(label: NDArray[Any], grid: Regrid) -> NDArray[Any]:
    """Returns the box `[*S]` from a label `[*T]` on the used grid, by the same rule."""
    values, codes = _coded(label)
    return values[_largest_share(codes, len(values), backward_matrices(grid))]


def _coded(label: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Returns the sorted distinct values `[K]` and the number of each voxel's value `[*S]`."""
    if label.dtype.kind in "iub":
        low, high = int(label.min()), int(label.max())
        if high - low < _SPAN:
            shifted = label.astype(np.int64) - low
            seen = np.bincount(shifted.ravel(), minlength=high - low + 1) > 0
            return (np.flatnonzero(seen) + low).astype(label.dtype), (np.cumsum(seen) - 1)[shifted]
    values, codes = np.unique(label, return_inverse=True)
    return values, codes.reshape(label.shape)


def _largest_share(
    codes: NDArray[np.int64], count: int, matrices: Sequence[Tensor | None]
) -> NDArray[np.int64]:
    """Returns the class of the largest share at each new voxel.

    Of each class only the part of the volume around it is interpolated. The most frequent class has what the
    others leave of 1. It wins ties.
    """
    usual = int(np.bincount(codes.ravel(), minlength=count).argmax())
    shape = [side if one is None else len(one) for side, one in zip(codes.shape, matrices, strict=True)]
    best = torch.zeros(shape)
    others = torch.zeros(shape)
    winner = np.full(shape, usual, np.int64)
    boxes = ndimage.find_objects(codes + 1, count)
    for code, box in enumerate(boxes):
        if box is None or code == usual:
            continue
        parts = [_part(one, where) for one, where in zip(matrices, box, strict=True)]
        place = tuple(where for where, _ in parts)
        share = apply([one for _, one in parts], torch.from_numpy((codes[box] == code).astype(np.float32)))
        larger = share > best[place]
        winner[place][larger.numpy()] = code
        torch.maximum(best[place], share, out=best[place])
        others[place] += share
    winner[(1 - others >= best).numpy()] = usual
    return winner


def _part(matrix: Tensor | None, where: slice) -> tuple[slice, Tensor | None]:
    """Returns the new voxels that the old ones `where` reach, and the weights between them."""
    if matrix is None:
        return where, None
    reached = np.flatnonzero((matrix[:, where] > 0).any(dim=1).numpy())
    if not len(reached):
        return slice(0, 0), matrix[:0, where]
    rows = slice(int(reached[0]), int(reached[-1]) + 1)
    return rows, matrix[rows, where]
