"""95 % intervals by the bootstrap over groups, such as patients: whole groups are drawn with replacement.

Cases of one patient are alike, so that single cases would give intervals that are too narrow. The same input
always gives the same interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
LEAST = 0.1
"""Least error of a drawn study, in those of all cases; studies of almost equal values would have none."""
Array = NDArray[np.float64]


def mean_interval(
    values: Array, groups: NDArray[np.int64], limits: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float] | None:
    """Returns the 95 % interval of a mean over cases that belong to `groups` `[N]`; None for a single group.

    The mean is that of values `[N]`, or the mean over columns of their means for values `[N, K]`, in which
    NaN does not count. The interval is limited to the range `limits` of the score.

    It is the studentised bootstrap (Efron 1981): the error of the mean of each drawn study is measured in its
    own standard errors, so that the interval follows the skewness of scores, and is wide enough for few
    groups.
    """
    sums, counts = _by_group(values.reshape(len(values), -1), groups)
    number = sums.shape[1]
    if number < 2:
        return None
    mean, error = _mean_and_error(sums, counts, np.ones((1, number)))
    if error[0] == 0:
        return float(mean[0]), float(mean[0])
    means, errors = _mean_and_error(sums, counts, _draws(number))
    ratios = (means - mean) / np.maximum(errors, LEAST * error)
    high, low = mean - np.quantile(ratios, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) * error
    return float(np.clip(min(low, mean[0]), *limits)), float(np.clip(max(high, mean[0]), *limits))


def drawn_studies(groups: NDArray[np.int64], number: int) -> Iterator[NDArray[np.int64]]:
    """Yields the numbers of the cases of that many drawn studies, of cases that belong to `groups` `[N]`."""
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    generator = np.random.default_rng(len(members))
    for _ in range(number):
        yield np.concatenate([members[n] for n in generator.integers(0, len(members), len(members))])


def percentile_interval(statistics: Sequence[float]) -> tuple[float, float]:
    """Returns the middle 95 % of a statistic's values in drawn studies."""
    low, high = np.quantile(statistics, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _by_group(values: Array, groups: NDArray[np.int64]) -> tuple[Array, Array]:
    """Returns the sums of the values `[N, K]`, and their numbers, in each group: `[K, G]`."""
    _, places = np.unique(groups, return_inverse=True)
    counts = ~np.isnan(values)
    sums = [np.bincount(places, column) for column in np.where(counts, values, 0).T]
    return np.array(sums), np.array([np.bincount(places, column) for column in counts.T.astype(np.float64)])


def _mean_and_error(sums: Array, counts: Array, drawn: Array) -> tuple[Array, Array]:
    """Returns the mean over columns of means, and its standard error, in drawn studies `[R, G]`: `[R]` each.

    The error is that of a mean of ratios, by its first derivative. A column without a case in a drawn study
    has the mean of all cases there.
    """
    groups = sums.shape[1]
    mean: Array = np.zeros(len(drawn))
    influence: Array = np.zeros(drawn.shape)
    columns = [pair for pair in zip(sums, counts, strict=True) if pair[1].any()]
    for total, number in columns:
        sizes = drawn @ number
        some = np.maximum(sizes, 1)
        means = np.where(sizes > 0, drawn @ total / some, total.sum() / number.sum())
        mean += means / len(columns)
        influence += (total - means[:, None] * number) / some[:, None] / len(columns)
    squares = (drawn * np.square(influence)).sum(axis=1)
    return mean, np.sqrt(squares * groups / (groups - 1))


@lru_cache(maxsize=4)
def _draws(groups: int) -> Array:
    """Returns how often each group is in each drawn study, `[R, G]`."""
    generator = np.random.default_rng(groups)
    return generator.multinomial(groups, np.full(groups, 1 / groups), RESAMPLES).astype(np.float64)
