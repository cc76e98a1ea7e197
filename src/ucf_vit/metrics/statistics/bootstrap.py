"""95 % intervals by the bootstrap over groups, such as patients: whole groups are drawn with replacement.

Cases of one patient are alike, so that single cases would give intervals that are too narrow. The same input
always gives the same interval.

An interval is that of Student's distribution with the standard error of the drawn studies, on a scale without
ends: the logit of a score between two limits, the logarithm of one that has one limit (Efron and Tibshirani
1993, section 12.6). So it never leaves the range of the score, and reaches further in the direction in which
skewed scores do. Where few groups have much influence, the error is known less well, so that the distribution
has fewer degrees of freedom (Satterthwaite 1946). `benchmarks/intervals.py` measures the coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

RESAMPLES = 2000
LEVEL = 0.95
PARTS = 100
"""Number of parts of the groups that are left out in turn, to find out how much a few of them matter."""
Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Limits = tuple[float, float]
Interval = tuple[float, float] | None
ANY: Limits = (-np.inf, np.inf)


def mean_interval(values: Array, groups: Rows, limits: Limits = ANY) -> Interval:
    """Returns the 95 % interval of a mean over cases that belong to `groups` `[N]`, within `limits`.

    The mean is that of values `[N]`, or the mean over columns of their means for values `[N, K]`, in which
    NaN does not count. None where nothing is known about the variation: for a single group, and for equal
    values.
    """
    sums, counts = _by_group(values.reshape(len(values), -1), groups)
    if len(sums) < 2:
        return None
    total, number, draws = sums.sum(axis=0), counts.sum(axis=0), _draws(len(sums))
    means = total / number

    def mean(sums: Array, counts: Array) -> Array:  # a column without a case has the mean of all cases
        return np.asarray(np.where(counts > 0, sums / counts.clip(1), means).mean(axis=1))

    drawn, left_out = mean(draws @ sums, draws @ counts), mean(total - sums, number - counts)
    return _interval(float(means.mean()), drawn, left_out, len(sums), limits)


def statistic_intervals(
    statistics: Callable[[Rows], Array], groups: Rows, limits: Sequence[Limits], number: int = RESAMPLES
) -> list[Interval]:
    """Returns the 95 % intervals of statistics that are no means, from that many drawn studies.

    `statistics` returns their values `[M]`, which have these `limits`, for the cases in the given rows; NaN,
    which is left out, for one that is not defined. The cases belong to `groups` `[N]`. See `mean_interval`.
    """
    _, places = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(places == group) for group in range(int(places.max()) + 1)]
    if len(members) < 2:
        return [None] * len(limits)
    generator = np.random.default_rng(len(members))
    studies = (generator.integers(0, len(members), len(members)) for _ in range(number))
    drawn = np.array([statistics(np.concatenate([members[n] for n in study])) for study in studies])
    parts = places % PARTS
    left_out = np.array([statistics(np.flatnonzero(parts != part)) for part in range(parts.max() + 1)])
    values = statistics(np.arange(len(groups))).tolist()
    return [
        _interval(value, some[~np.isnan(some)], others[~np.isnan(others)], len(members), ends)
        for value, some, others, ends in zip(values, drawn.T, left_out.T, limits, strict=True)
    ]


def contributions(values: Array) -> Array:
    """Returns what each case adds to the mean over columns of their means: `[N]` for values `[N, K]`.

    NaN does not count; the sum of all is the mean.
    """
    counts = (~np.isnan(values)).sum(axis=0)
    some = counts > 0
    return np.asarray(np.nansum(values[:, some] / counts[some], axis=1) / some.sum())


def _interval(value: float, drawn: Array, left_out: Array, groups: int, limits: Limits) -> Interval:
    """Returns the interval of a statistic of that value.

    `drawn` are its values in drawn studies, `left_out` those without each part of the groups.
    """
    if len(drawn) < 2 or np.ptp(drawn) <= 1e-12 * np.abs(drawn).max():
        return None
    # drawn studies vary less than others, by the difference of dividing by n and by n - 1
    error = float(drawn.std()) * np.sqrt(groups / (groups - 1))
    half = float(stdtrit(_degrees_of_freedom(left_out, groups), (1 + LEVEL) / 2)) * error
    low, high = limits
    if not low < value < high or not np.isfinite(limits).any():
        ends = value - half, value + half
    elif np.isfinite(limits).all():
        place, width = (value - low) / (high - low), high - low
        half /= width * place * (1 - place)
        ends = low + width * expit(logit(place) - half), low + width * expit(logit(place) + half)
    else:
        limit = low if np.isfinite(low) else high
        near, far = (limit + (value - limit) * np.exp(sign * half / abs(value - limit)) for sign in (-1, 1))
        ends = min(near, far), max(near, far)
    return float(max(ends[0], low)), float(min(ends[1], high))


def _degrees_of_freedom(left_out: Array, groups: int) -> float:
    """Returns the degrees of freedom of a variance over groups, from the kurtosis of their influence."""
    squares = np.square(left_out - left_out.mean()) if len(left_out) else np.zeros(1)
    if not squares.any():
        return groups - 1
    kurtosis = float(np.square(squares).mean() / squares.mean() ** 2)
    return min(groups - 1, 2 * groups / (kurtosis - 1 + 2 / (groups - 1)))


def _by_group(values: Array, groups: Rows) -> tuple[Array, Array]:
    """Returns the sums of the values `[N, K]`, and their numbers, in each group: `[G, K]`.

    Columns without any value are left out.
    """
    values = values[:, ~np.isnan(values).all(axis=0)]
    _, places = np.unique(groups, return_inverse=True)
    counts = ~np.isnan(values)
    sums = [np.bincount(places, column) for column in np.where(counts, values, 0).T]
    return np.stack(sums, axis=1), np.stack([np.bincount(places, one) for one in counts.T], axis=1)


@lru_cache(maxsize=4)
def _draws(groups: int) -> Array:
    """Returns how often each group is in each drawn study, `[R, G]`."""
    generator = np.random.default_rng(groups)
    return generator.multinomial(groups, np.full(groups, 1 / groups), RESAMPLES).astype(np.float64)
