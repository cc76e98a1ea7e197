"""Fast conversion of arrays with the first axis fastest (files) to the last axis fastest (tensors)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def compact(array: NDArray[Any]) -> NDArray[Any]:
    """Returns the same values in memory that is fast to copy to a C-contiguous array.

    `array` itself is returned if its last axis is the fastest. Otherwise runs of the fastest axis are
    gathered plane by plane with the last axis, so that each plane, which the copy has to transpose, fits into
    the first-level cache (a 64^3 tile: 0.4 ms instead of 1.0 ms). Reversed axes are gathered forwards, which
    is three times faster, and reversed afterwards.
    """
    last = array.ndim - 1
    fastest = int(np.argmin(np.abs(array.strides))) if last > 0 else last
    if fastest == last:
        return array
    forwards = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in array.strides)
    order = [axis for axis in range(last) if axis != fastest] + [last, fastest]
    return np.ascontiguousarray(array[forwards].transpose(order)).transpose(np.argsort(order))[forwards]
