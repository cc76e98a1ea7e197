"""Position of a NIfTI volume in space: which of the forms in its header is used.

Rules: the sform where its code is above 0 and it is regular, else the qform likewise, else the spacing only
(as nibabel: the first axis to the left, the origin in the middle). A negative spacing counts by its size, a
spacing of 0 as 1 mm. Lengths are converted to mm; without a unit they are mm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from ucf_vit.data.geometry.difference import TOLERANCE, largest_distance
from ucf_vit.data.geometry.geometry import is_regular

_UNITS = {"meter": 1e3, "micron": 1e-3}
Affine = NDArray[np.float64]


def placement(header: Any, shape: tuple[int, ...], spacing: NDArray[Any]) -> tuple[Affine, tuple[str, ...]]:
    """Returns the affine `[4, 4]` in mm, and remarks on what contradicts itself.

    `header` is nibabel's, which has mended its spacing; `spacing` `[3]` is as stored.
    """
    sform, qform = _sform(header), _qform(header)
    remarks = []
    for name, code, form in (("sform", "sform_code", sform), ("qform", "qform_code", qform)):
        if header[code] > 0 and (form is None or not is_regular(form)):
            remarks.append(f"the {name} is singular or not finite, and not used")
    affines = [one for one in (sform, qform) if one is not None and is_regular(one)]
    if len(affines) == 2:
        remarks += _disagreement(shape, *affines)
    if sform is None or not is_regular(sform):
        remarks += _mended(spacing)
    forms = [one for one in (sform, qform) if one is not None]
    # Where no form is regular, one is returned nevertheless: whoever needs the position refuses it.
    affine = [*affines, *forms, header.get_base_affine()][0]
    factor = _UNITS.get(header.get_xyzt_units()[0], 1.0)
    return np.diag([factor] * 3 + [1.0]) @ np.asarray(affine, np.float64), tuple(remarks)


def _sform(header: Any) -> Affine | None:
    return np.asarray(header.get_sform(), np.float64) if header["sform_code"] > 0 else None


def _qform(header: Any) -> Affine | None:
    """Returns the qform; not finite where its quaternion is none."""
    if header["qform_code"] <= 0:
        return None
    try:
        return np.asarray(header.get_qform(), np.float64)
    except (HeaderDataError, ValueError):
        return np.full((4, 4), np.nan)


def _disagreement(shape: tuple[int, ...], sform: Affine, qform: Affine) -> list[str]:
    apart = largest_distance(shape, sform, qform)
    if apart <= TOLERANCE * np.linalg.norm(sform[:3, :3], axis=0).min():
        return []
    return [f"sform and qform place voxels up to {apart:.3g} mm apart: the sform is used"]


def _mended(spacing: NDArray[Any]) -> list[str]:
    """Returns a remark where the spacing in the header is not positive and the affine is made from it."""
    if (spacing > 0).all():
        return []
    text = ", ".join(f"{value:g}" for value in spacing)
    return [f"the spacing ({text}) is not positive: sizes are used, and 1 mm for 0"]
