"""Paired comparison of two methods on the same groups, such as patients, by exchanging the methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

EXACT = 14
"""Number of groups up to which all exchanges are tried."""
DRAWN = 100_000
"""Number of random exchanges with more groups."""
_AT_ONCE = 10_000
Array = NDArray[np.float64]


def paired_p_values(differences: Array) -> Array:
    """Returns the two-sided p-values `[M]` of differences `[G, M]` between two methods, for M scores.

    The methods of a group are exchanged, which changes the sign of its differences (Fisher's permutation
    test); the p-value is the share of exchanges with a mean difference at least as large as the real one. It
    is exact for up to `EXACT` groups. With more, it is from random exchanges, with the real one counted as
    one of them (Phipson and Smyth 2010). 1 where all differences are 0.
    """
    real = np.abs(differences.sum(axis=0))
    least = real * (1 - 1e-9)  # equal sums in another order of terms differ in the last digits
    larger, total = np.zeros(differences.shape[1]), 0
    for signs in _exchanges(len(differences)):
        larger += (np.abs(signs @ differences) >= least).sum(axis=0)
        total += len(signs)
    if len(differences) > EXACT:
        larger, total = larger + 1, total + 1
    return np.asarray(larger / total)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values that are adjusted for their number (Holm 1979)."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, number in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def _exchanges(groups: int) -> Iterator[Array]:
    """Yields signs `[N, G]`: all of them for few groups, else random ones."""
    if groups <= EXACT:
        bits = np.arange(2**groups)[:, None] >> np.arange(groups) & 1
        yield np.asarray(1 - 2 * bits, np.float64)
        return
    generator = np.random.default_rng(groups)
    for _ in range(DRAWN // _AT_ONCE):
        yield np.asarray(1 - 2 * generator.integers(0, 2, (_AT_ONCE, groups)), np.float64)
