"""Comparison of the positions of two volumes in space, from their headers."""

from __future__ import annotations

from itertools import product

import numpy as np
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from ucf_vit.data.formats.nifti.header import NiftiHeader

TOLERANCE = 0.1
"""Largest distance of a voxel's two positions, as a fraction of the shortest side of a voxel.

Headers round positions to about 1e-5 of a voxel; a shift by half a voxel, from corners taken for centres, is
much larger.
"""


def difference(image: NiftiHeader, label: NiftiHeader) -> str:
    """Returns how the label's position differs, with both values; empty where every voxel is in the same
    place.
    """
    if not np.isfinite([image.affine, label.affine]).all():
        return "one of the headers has no position in space (its affine is not finite)"
    corners = np.array([*product(*((0, size - 1) for size in image.shape[:3]))], float)
    distance = np.linalg.norm(_places(label, corners) - _places(image, corners), axis=1).max()
    if distance <= TOLERANCE * _spacing(image).min():
        return ""
    pairs = {
        "orientation": [_orientation(one) for one in (label, image)],
        "spacing": [_text(_spacing(one)) for one in (label, image)],
        "origin": [_text(one.affine[:3, 3]) for one in (label, image)],
    }
    different = [f"{name} {one}, not {other}" for name, (one, other) in pairs.items() if one != other]
    return "; ".join(different or ["its axes are turned"]) + f": voxels up to {distance:.3g} mm apart"


def _places(header: NiftiHeader, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the positions of `voxels` `[N, 3]`, in mm."""
    return voxels @ header.affine[:3, :3].T + header.affine[:3, 3]


def _spacing(header: NiftiHeader) -> NDArray[np.float64]:
    return np.linalg.norm(header.affine[:3, :3], axis=0)


def _orientation(header: NiftiHeader) -> str:
    return "".join(code or "?" for code in aff2axcodes(header.affine))


def _text(values: NDArray[np.float64]) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)}) mm"
