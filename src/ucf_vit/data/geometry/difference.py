"""Comparison of the positions of two volumes in space, from their headers."""

from __future__ import annotations

from itertools import product

import numpy as np
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from ucf_vit.data.geometry.geometry import Geometry, is_regular

TOLERANCE = 0.1
"""Largest distance of a voxel's two positions, as a fraction of the shortest side of a voxel.

Headers round positions to about 1e-5 of a voxel; a shift by half a voxel, from corners taken for centres, is
much larger.
"""


def difference(image: Geometry, label: Geometry) -> str:
    """Returns how the label's position differs, with both values; empty where every voxel is in the same
    place.
    """
    if not np.isfinite([image.affine, label.affine]).all():
        return "one of the headers has no position in space (its affine is not finite)"
    distance = largest_distance(image.shape, image.affine, label.affine)
    if distance <= TOLERANCE * _spacing(image).min():
        return ""
    pairs = {
        "orientation": [orientation(one) for one in (label, image)],
        "spacing": [_text(_spacing(one)) for one in (label, image)],
        "origin": [_text(one.affine[:3, 3]) for one in (label, image)],
    }
    different = [f"{name} {one}, not {other}" for name, (one, other) in pairs.items() if one != other]
    return "; ".join(different or ["its axes are turned"]) + f": voxels up to {distance:.3g} mm apart"


def largest_distance(
    shape: tuple[int, ...], affine: NDArray[np.float64], other: NDArray[np.float64]
) -> float:
    """Returns the largest distance, in mm, between the positions of a voxel of `shape` by two affines."""
    corners = np.array([*product(*((0, size - 1) for size in shape[:3]))], float)
    apart = affine - other
    return float(np.linalg.norm(corners @ apart[:3, :3].T + apart[:3, 3], axis=1).max())


def orientation(geometry: Geometry) -> str:
    """Returns the directions in which the axes grow, such as "RAS"; "???" where the affine is singular."""
    if not is_regular(geometry.affine):
        return "???"
    return "".join(aff2axcodes(geometry.affine))


def _spacing(geometry: Geometry) -> NDArray[np.float64]:
    return np.linalg.norm(geometry.affine[:3, :3], axis=0)


def _text(values: NDArray[np.float64]) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)}) mm"
