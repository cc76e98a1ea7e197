"""Distances between the surfaces of two masks, in mm.

The surface of a mask are its voxels with a neighbour across a face that is not in it, or is outside of the
image; every such voxel counts the same. These are the definitions of MONAI (without subvoxels).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

Mask = NDArray[np.bool_]


class SurfaceDistances(NamedTuple):
    """Distances in mm of each surface voxel of the prediction to the surface of the label, and reverse."""

    of_prediction: NDArray[np.float64]
    of_label: NDArray[np.float64]

    def hausdorff(self, percentile: float = 95.0) -> float:
        """Returns the larger of the percentiles of both directions (Huttenlocher et al. 1993), in mm."""
        return float(max(np.percentile(one, percentile) for one in self))

    def surface_dice(self, tolerance: float) -> float:
        """Returns the share of both surfaces that is at most `tolerance` mm from the other one.

        Normalised surface distance, Nikolov et al. 2018.
        """
        close = sum(np.count_nonzero(one <= tolerance) for one in self)
        return float(close / (len(self.of_prediction) + len(self.of_label)))


def surface_distances(predicted: Mask, labelled: Mask, spacing: Sequence[float]) -> SurfaceDistances:
    """Returns the distances between the surfaces of two masks `[*S]`, neither of which may be empty.

    `spacing` is the distance of voxels along each axis. Masks may be cropped to the box around both: what is
    outside of an array is in neither mask.
    """
    one, other = _surface(predicted), _surface(labelled)
    return SurfaceDistances(_distances(one, other, spacing), _distances(other, one, spacing))


def diagonal(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Returns the length of the diagonal of an image in mm; no two voxels are further apart."""
    return hypot(*(side * step for side, step in zip(shape, spacing, strict=True)))


def _surface(mask: Mask) -> Mask:
    return np.asarray(mask & ~binary_erosion(mask))


def _distances(one: Mask, other: Mask, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Returns the distance of each voxel of `one` to the nearest one of `other`: 0 for those in both."""
    steps = np.asarray(spacing, np.float64)
    apart = np.argwhere(one & ~other) * steps
    distances = np.zeros(np.count_nonzero(one))
    if len(apart):
        distances[: len(apart)] = KDTree(np.argwhere(other) * steps, leafsize=32).query(apart)[0]
    return distances
