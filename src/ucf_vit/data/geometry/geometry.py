"""The grid of a volume in space, as its header gives it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Geometry:
    """Grid of `shape` `[*S]` (no channels) whose voxel `i` lies at `affine @ (i, 1)`.

    `affine` is `[4, 4]` float64, in mm, in the axes of NIfTI: x to the right, y to the front, z up (RAS+).
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> tuple[float, ...]:
        """Returns the distance of voxels along each axis of the array, in mm."""
        return tuple(float(step) for step in np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0))
