"""Builds a volume from the slices of a series: one regular grid, or an error that names the file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.dicom.headers import Slice

TOLERANCE = 0.01
"""Largest relative difference of distances between neighbours: positions are rounded in files."""
SAME = 1e-3
"""Smallest distance between slices, in mm."""
DRIFT = 0.5
"""Largest shift of a slice within its plane relative to the first one, as a fraction of a pixel."""


def ordered(parts: Sequence[Slice | DataError]) -> list[Slice]:
    """Returns the slices by position. Raises DataError where they are no upright, evenly spaced volume."""
    for one in parts:
        if isinstance(one, DataError):
            raise one
    slices = sorted((one for one in parts if isinstance(one, Slice)), key=lambda one: one.place[2])
    for one in slices:
        _check_alike(one, slices[0])
    _check_gaps(slices)
    for one in slices:
        _check_beside(one, slices[0])
    return slices


def _check_alike(one: Slice, first: Slice) -> None:
    turned = not np.allclose(one.orientation, first.orientation, atol=1e-4)
    if one.shape != first.shape or turned or not np.allclose(one.spacing, first.spacing):
        raise DataError(
            f"{one.path}: size, spacing or orientation differs from {first.path} of the same series"
        )


def _check_gaps(slices: Sequence[Slice]) -> None:
    gaps = np.diff([one.place[2] for one in slices])
    usual = float(np.median(gaps)) if len(gaps) else 1.0
    for gap, one, other in zip(gaps.tolist(), slices, slices[1:], strict=False):
        if gap <= SAME:
            raise DataError(f"{other.path}: has the same position as {one.path}")
        if abs(gap - usual) > TOLERANCE * usual:
            number = round(gap / usual) - 1
            cause = f"{number} slice(s) missing" if number > 0 else f"{gap:g} mm, not {usual:g},"
            raise DataError(f"{other.path}: {cause} between it and {one.path}, the slice before it")


def _check_beside(one: Slice, first: Slice) -> None:
    aside = np.subtract(one.place[:2], first.place[:2])
    if (np.abs(aside) > DRIFT * np.asarray(first.spacing)).any():
        raise DataError(
            f"{one.path}: lies {aside[0]:.3g} mm along its rows and {aside[1]:.3g} mm along its columns "
            f"beside {first.path}: the volume is sheared, as with a tilted gantry; resample its series first"
        )
