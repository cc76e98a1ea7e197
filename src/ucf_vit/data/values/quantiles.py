"""Percentiles of any number of values without a sorted copy of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.values.running_moments import slabs_of

_DIGIT = 16
"""Number of bits that one pass over the values determines."""


def percentiles(values: NDArray[Any], percents: Sequence[float]) -> list[float]:
    """Returns percentiles of `values` (real, no NaN, not empty), interpolated as by `numpy.percentile`.

    They do not depend on the order of the values: not on axes, memory layout, or flips.
    """
    places = [(values.size - 1) * percent / 100 for percent in percents]
    ranks = sorted({int(place) + more for place in places for more in (0, 1)})
    value_at = dict(
        zip(ranks, _of_ranks(values, [min(rank, values.size - 1) for rank in ranks]), strict=True)
    )
    return [
        value_at[int(place)] + (value_at[int(place) + 1] - value_at[int(place)]) * (place % 1)
        for place in places
    ]


def _of_ranks(values: NDArray[Any], ranks: Sequence[int]) -> list[float]:
    """Returns the values at positions `ranks` of the sorted values, by radix selection from the highest bits
    on.

    Each pass counts the next digit of those values whose leading digits are already known, and so determines
    one more digit.
    """
    dtype = values.dtype.newbyteorder("=") if values.dtype.kind != "b" else np.dtype(np.uint8)
    bits = 8 * dtype.itemsize
    heads, left = [0] * len(ranks), list(ranks)
    for low in range(bits - min(bits, _DIGIT), -1, -_DIGIT):
        counts = _count(values, dtype, low, sorted(set(heads)))
        for number, (head, rank) in enumerate(zip(heads, left, strict=True)):
            ends = counts[head]
            digit = int(np.searchsorted(ends, rank, side="right"))
            left[number] = rank - (int(ends[digit - 1]) if digit else 0)
            heads[number] = head << _DIGIT | digit
    return [float(_value(head, dtype)) for head in heads]


def _count(values: NDArray[Any], dtype: np.dtype[Any], low: int, heads: Sequence[int]) -> dict[int, Any]:
    """Returns for each head how many values begin with it and have at most each digit, from bit `low` on."""
    counts = {head: np.zeros(2**_DIGIT, np.int64) for head in heads}
    for slab in slabs_of(values):
        keys = _keys(slab, dtype)
        begin = keys >> keys.dtype.type(low)
        for head, count in counts.items():
            here = begin if low + _DIGIT >= 8 * dtype.itemsize else begin[begin >> _DIGIT == head]
            count += np.bincount(here.astype(np.uint16), minlength=2**_DIGIT)
    return {head: count.cumsum() for head, count in counts.items()}


def _keys(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Returns unsigned integers `[N]` in the order of the values: bits of negative floats are inverted."""
    plain = np.asarray(values, dtype).ravel(order="K")
    keys = plain.view(f"u{dtype.itemsize}")
    if dtype.kind == "u":
        return keys
    sign = keys.dtype.type(1 << (8 * dtype.itemsize - 1))
    if dtype.kind == "i":
        return keys ^ sign
    return np.where(keys & sign, ~keys, keys | sign)


def _value(key: int, dtype: np.dtype[Any]) -> Any:
    """Returns the value that has this key."""
    kind = np.dtype(f"u{dtype.itemsize}").type
    sign = 1 << (8 * dtype.itemsize - 1)
    if dtype.kind == "i":
        key ^= sign
    elif dtype.kind == "f":
        key = key ^ sign if key & sign else ~key & (2 * sign - 1)
    return np.array(kind(key)).view(dtype)
