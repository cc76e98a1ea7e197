"""The grid of a DICOM series in space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ucf_vit.data.formats.dicom.headers import Slice
from ucf_vit.data.geometry.geometry import Geometry

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM has x to the left and y to the back (PS3.3 C.7.6.2.1.1)."""


def geometry_of(slices: Sequence[Slice]) -> Geometry:
    """Returns the grid `[X, Y, Z]` of slices in order of position, as `ordered` returns them.

    The third axis leads from the first slice to the last. A single slice is as thick as its header says, or
    1 mm. Raises DataError as `Geometry.checked`.
    """
    first, last = slices[0], slices[-1]
    rows, columns = np.reshape(first.orientation, (2, 3))
    frame = np.array([rows, columns, np.cross(rows, columns)])
    affine, remarks = np.eye(4), []
    affine[:3, 0], affine[:3, 1] = rows * first.spacing[0], columns * first.spacing[1]
    start, end = (np.linalg.solve(frame, one.place) for one in (first, last))
    affine[:3, 3] = start
    if len(slices) > 1:
        affine[:3, 2] = (end - start) / (len(slices) - 1)
    else:
        affine[:3, 2] = frame[2] * (first.thickness if first.thickness > 0 else 1.0)
        if first.thickness <= 0:
            remarks.append("a single slice without a thickness: 1 mm is used")
    shape = (*first.shape, len(slices))
    return Geometry.checked(shape, _TO_RAS @ affine, remarks)
