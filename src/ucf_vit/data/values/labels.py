"""Values that a stored label contains, collected once per item."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_SPAN = 2**20
"""Integers that are further apart than this are not listed individually."""
TOLERANCE = 1e-3
"""Values this close to an integer are taken for it: resampling and scales in headers round."""


class LabelValues(NamedTuple):
    """Values of a label: the sorted distinct integers `values`, and the range `low` to `high` of all others.

    Others are not integers or, where values span more than `MAX_SPAN`, far from 0; if there are none, `low` >
    `high`. `nan` is true where NaN occurs.
    """

    values: NDArray[np.int64]
    low: float = np.inf
    high: float = -np.inf
    nan: bool = False


NO_VALUES = LabelValues(np.zeros(0, np.int64))
"""Values of an item without a label."""


def label_values(label: NDArray[Any]) -> LabelValues:
    """Returns the values that `label` (any type, any shape) contains, reading it once."""
    label = np.atleast_1d(label)
    low, high = (float(extreme.reduce(label, axis=None)) for extreme in (np.fmin, np.fmax))
    if np.isnan(low):
        return LabelValues(NO_VALUES.values, nan=True)
    near = bool(np.isfinite([low, high]).all()) and high - low < MAX_SPAN
    first, last = (round(low), round(high)) if near else (-MAX_SPAN // 2, MAX_SPAN // 2)
    seen = np.zeros(last - first + 1, bool)
    others, nan = (np.inf, -np.inf), False
    for slab in np.array_split(label, min(label.shape[-1], -(-label.size // 2**20)), axis=-1):
        whole = np.rint(slab) if slab.dtype.kind == "f" else slab
        if not near or not (whole is slab or np.array_equal(whole, slab)):
            with np.errstate(invalid="ignore"):  # of infinite values, which are not good
                good = (np.abs(slab - whole) <= TOLERANCE) & (whole >= first) & (whole <= last)
            missing = np.isnan(slab)
            rest, whole = slab[~good & ~missing], whole[good]
            nan |= bool(missing.any())
            if rest.size:
                others = min(others[0], float(rest.min())), max(others[1], float(rest.max()))
        seen[whole.astype(np.int64).ravel(order="K") - first] = True
    return LabelValues(np.flatnonzero(seen) + first, *others, nan)
