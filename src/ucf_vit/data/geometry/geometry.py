"""The grid of a volume in space, as its header gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError

SHEAR = 0.01
"""Largest cosine of the angle between two axes that are taken for perpendicular (0.6 degrees)."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """Grid of `shape` `[*S]` (no channels) whose voxel `i` lies at `affine @ (i, 1)`.

    `affine` is `[4, 4]` float64, in mm, in the axes of NIfTI: x to the right, y to the front, z up (RAS+).
    `remarks` are contradictions in the header with the rule that settled them, without a full stop.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    remarks: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls, shape: Sequence[int], affine: NDArray[np.float64], remarks: Sequence[str] = ()
    ) -> Geometry:
        """Returns the grid, with a remark where its axes are sheared: they are kept as they are.

        Raises DataError for an affine that places several voxels at one point or at none.
        """
        affine = np.asarray(affine, np.float64)
        if not is_regular(affine):
            rows = "; ".join(" ".join(f"{value:g}" for value in row) for row in affine[:3])
            raise DataError(
                f"its header has no position in space: the affine [{rows}] is singular or not finite; write "
                "a valid one, or use the voxels as they are: data.orientation and data.spacing as_stored"
            )
        return cls(tuple(shape), affine, (*remarks, *_shear(affine)))

    @property
    def spacing(self) -> tuple[float, ...]:
        """Returns the distance of voxels along each axis of the array, in mm."""
        return tuple(float(step) for step in np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0))


def is_regular(affine: NDArray[np.float64]) -> bool:
    """Returns whether an affine `[4, 4]` is finite and has three independent axes."""
    axes = affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all() or lengths.min() <= 0:
        return False
    return bool(abs(np.linalg.det(axes / lengths)) > SHEAR)


def _shear(affine: NDArray[np.float64]) -> list[str]:
    """Returns a remark on each pair of axes that are not perpendicular."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = {pair: float(axes[:, pair[0]] @ axes[:, pair[1]]) for pair in combinations(range(3), 2)}
    return [
        f"axes {one} and {other} meet at {np.degrees(np.arccos(cosine)):.3g} degrees: the volume is sheared "
        "and stays so, it is resampled along its own axes"
        for (one, other), cosine in cosines.items()
        if abs(cosine) > SHEAR
    ]
