"""Attributes of a variable that define which of its values are missing and how they are packed.

The conventions are those of CF (https://cfconventions.org, 2.5.1 and 8.1) and of the NetCDF User's Guide
(attribute conventions). Results agree with `xarray.decode_cf`, which ignores some of the attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_UNWRITTEN = {
    "i2": -32767,
    "i4": -2147483647,
    "i8": -9223372036854775806,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}
"""NetCDF's default for values that were never written, by type.

Bytes have none. The default of unsigned integers is the largest one, which an overexposed sensor also gives:
it is not taken for missing.
"""


def values(stored: NDArray[Any], attributes: Mapping[str, Any], unwritten: bool = False) -> NDArray[Any]:
    """Returns the values that `stored` represents: unpacked, and NaN (then as floats) where they are missing.

    With `unwritten`, NetCDF's default counts as missing where no attribute defines missing values. Raises
    ValueError for a scale or offset that is zero or not finite.
    """
    stored = _signed(stored, str(attributes.get("_Unsigned", "")).lower())
    missing = _missing(stored, attributes, unwritten)
    unpacked = _unpacked(stored, attributes)
    missing |= _outside(stored, unpacked, attributes)
    if not missing.any():
        return unpacked
    decoded = unpacked.astype(np.result_type(unpacked.dtype, np.float32))
    decoded[missing] = np.nan
    return decoded


def _signed(stored: NDArray[Any], unsigned: str) -> NDArray[Any]:
    kinds = {("i", "true"): "u", ("u", "false"): "i"}
    kind = kinds.get((stored.dtype.kind, unsigned))
    return stored if kind is None else stored.view(stored.dtype.str.replace(stored.dtype.kind, kind))


def _missing(stored: NDArray[Any], attributes: Mapping[str, Any], unwritten: bool) -> NDArray[np.bool_]:
    marks = [attributes[name] for name in ("_FillValue", "missing_value") if name in attributes]
    default = _UNWRITTEN.get(stored.dtype.str[1:])
    if unwritten and not marks and default is not None:
        marks = [stored.dtype.type(default)]
    missing = np.zeros(stored.shape, bool)
    for mark in (one for some in marks for one in np.ravel(some)):
        if stored.dtype.kind in "iu" and isinstance(mark, np.integer):
            mark = np.asarray(mark).astype(stored.dtype)  # the other sign of the same bits, with _Unsigned
        missing |= stored == mark
    return missing


def _unpacked(stored: NDArray[Any], attributes: Mapping[str, Any]) -> NDArray[Any]:
    scale, offset = float(attributes.get("scale_factor", 1)), float(attributes.get("add_offset", 0))
    if not (np.isfinite([scale, offset]).all() and scale):
        raise ValueError(
            f"scale_factor {scale} and add_offset {offset} are no valid scale for the stored values"
        )
    if (scale, offset) == (1.0, 0.0):
        return stored
    exact = np.result_type(stored.dtype, np.float64 if offset else np.float32)
    return stored.astype(exact) * exact.type(scale) + exact.type(offset)


def _outside(
    stored: NDArray[Any], unpacked: NDArray[Any], attributes: Mapping[str, Any]
) -> NDArray[np.bool_]:
    """Returns where a value is outside valid_min to valid_max, or valid_range; integer limits apply to packed
    values.
    """
    low, high = attributes.get("valid_range", (None, None))
    low, high = attributes.get("valid_min", low), attributes.get("valid_max", high)
    ends = [float(end) for end in (low, high) if end is not None]
    of_packed = stored.dtype.kind in "iu" and all(map(float.is_integer, ends))
    compared = stored if of_packed else unpacked
    outside = np.zeros(stored.shape, bool)
    if low is not None:
        outside |= compared < low
    if high is not None:
        outside |= compared > high
    return outside
