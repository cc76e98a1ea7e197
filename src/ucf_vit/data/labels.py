"""Labels as stored, or mapped; never a value that is no class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.memory_order import compact

MAX_SPAN = 2**20


def values_of(label: NDArray[Any]) -> NDArray[np.int64]:
    """The distinct values of a stored label, sorted. DataError where they are not whole numbers."""
    low, high = label.min(), label.max()
    if not (np.isfinite(low) and np.isfinite(high) and float(high) - float(low) < MAX_SPAN):
        raise DataError(f"the label's values, {low} to {high}, are no class numbers")
    first = int(np.floor(low))
    seen = np.zeros(int(high) - first + 1, bool)
    for slab in np.array_split(label, min(label.shape[-1], -(-label.size // 2**20)), axis=-1):
        whole = slab.astype(np.int64)
        if slab.dtype.kind == "f" and not np.array_equal(whole, slab):
            raise DataError("the label holds values that are not whole numbers")
        seen[whole.ravel(order="K") - first] = True
    return np.flatnonzero(seen) + first


def check(values: NDArray[np.int64], mapping: Mapping[int, int], num_classes: int | None) -> None:
    """DataError where a stored value is, after `mapping`, not in [0, num_classes)."""
    if num_classes is None:
        return
    stray = [v for v in values.tolist() if not 0 <= mapping.get(v, v) < num_classes]
    if stray:
        shown = ", ".join(map(str, stray[:10])) + (", ..." if len(stray) > 10 else "")
        raise DataError(
            f"label value(s) {shown} outside [0, {num_classes}): raise num_classes, or map the values to "
            "classes (dict_label_mapping)"
        )


def convert(label: NDArray[Any], mapping: Mapping[int, int], out: NDArray[np.int64]) -> None:
    """Write `label` (any type) to `out`, its values mapped."""
    np.copyto(out, compact(label), casting="unsafe")
    if mapping:
        first = int(out.min())
        table = np.arange(first, int(out.max()) + 1)
        for old, new in mapping.items():
            if 0 <= old - first < len(table):
                table[old - first] = new
        np.take(table, out - first, out=out)
