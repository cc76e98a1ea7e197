"""Paired comparison of two methods on the same groups, such as patients, by exchanging the methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

EXACT = 14
"""Number of groups up to which all exchanges are tried."""
DRAWN = 100_000
"""Number of random exchanges with more groups."""
_AT_ONCE = 10_000
_EQUAL = 1e-9
"""Relative difference of equal numbers: sums in another order of terms differ in the last digits."""
Array = NDArray[np.float64]


def paired_p_values(differences: Array) -> Array:
    """Returns the two-sided p-values `[M]` of the sums over groups of differences `[G, M]` of two methods.

    The methods of a group are exchanged, which changes the sign of its differences (Fisher's permutation
    test); the p-value is the share of exchanges with a sum at least as large as the real one. It is exact for
    up to `EXACT` groups. With more, it is from random exchanges, with the real one counted as one of them
    (Phipson and Smyth 2010). 1 where all differences are 0.
    """
    least = np.abs(differences.sum(axis=0)) * (1 - _EQUAL)
    larger, total, exact = np.zeros(differences.shape[1]), 0, len(differences) <= EXACT
    for exchanged in _exchanges(len(differences), DRAWN, exact):
        larger += (np.abs((1 - 2.0 * exchanged) @ differences) >= least).sum(axis=0)
        total += len(exchanged)
    return np.asarray(larger / total if exact else (larger + 1) / (total + 1))


def exchanged_p_values(
    difference: Callable[[NDArray[np.bool_]], Array], groups: int, number: int = DRAWN
) -> Array:
    """Returns the two-sided p-values `[M]` of statistics that are no means, as `paired_p_values` does.

    `difference` returns the differences `[M]` between two methods that are exchanged in the groups of a mask
    `[G]`. All exchanges are tried if there are at most `number`, else that many random ones.
    """
    exact = 2**groups <= number
    least = np.abs(difference(np.zeros(groups, bool))) * (1 - _EQUAL)
    larger, total = np.zeros(len(least)), 0
    for exchanged in _exchanges(groups, number, exact):
        for mask in exchanged:
            larger += np.abs(difference(mask)) >= least
        total += len(exchanged)
    return np.asarray(larger / total if exact else (larger + 1) / (total + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values that are adjusted for their number (Holm 1979)."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, number in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def _exchanges(groups: int, number: int, exact: bool) -> Iterator[NDArray[np.bool_]]:
    """Yields which groups are exchanged, `[n, G]`: all possibilities, or that many random ones."""
    if exact:
        yield (np.arange(2**groups)[:, None] >> np.arange(groups) & 1).astype(bool)
        return
    generator = np.random.default_rng(groups)
    for start in range(0, number, _AT_ONCE):
        yield generator.integers(0, 2, (min(_AT_ONCE, number - start), groups)).astype(bool)
