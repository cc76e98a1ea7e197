"""Intervals: of single values, of groups, of means over classes; a small form of the measured coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from ucf_vit.metrics.statistics.bootstrap import contributions, mean_interval, statistic_intervals

INF = np.inf


def test_interval_of_normal_values_is_that_of_student() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, 60)
    low, high = mean_interval(values, np.arange(60)) or (0, 0)
    expected = stats.t.interval(0.95, 59, values.mean(), values.std(ddof=1) / np.sqrt(60))
    assert (low, high) == pytest.approx(expected, abs=0.05 * (high - low)), "but for 2,000 random studies"
    assert mean_interval(values, np.arange(60)) == (low, high), "the same input, the same interval"


def test_interval_is_symmetric_on_the_scale_without_ends() -> None:
    values = np.array([0.95, 0.9, 0.99, 0.6, 0.97, 0.98, 0.2])
    groups, mean = np.arange(7), values.mean()
    low, high = mean_interval(values, groups, (0, 1)) or (0, 0)
    odds = [np.log(x / (1 - x)) for x in (low, mean, high)]
    assert odds[1] - odds[0] == pytest.approx(odds[2] - odds[1])
    low, high = mean_interval(100 * values, groups, (0, INF)) or (0, 0)
    assert low * high == pytest.approx((100 * mean) ** 2)
    low, high = mean_interval(values, groups, (-INF, 1)) or (0, 0)
    assert (1 - low) * (1 - high) == pytest.approx((1 - mean) ** 2)
    moved = mean_interval(2 * values - 1, groups, (-1, 1))
    assert moved == pytest.approx([2 * x - 1 for x in mean_interval(values, groups, (0, 1)) or ()])


@given(
    arrays.arrays(np.float64, st.integers(2, 12), elements=st.sampled_from([0.0, 0.5, 2 / 3, 1.0])),
    st.sampled_from([(0.0, 1.0), (0.0, INF), (-1.0, 1.0), (-INF, INF)]),
)
def test_intervals_are_within_the_range_and_hold_the_mean(
    values: np.ndarray, limits: tuple[float, float]
) -> None:
    found = mean_interval(values, np.arange(len(values)), limits)
    assert (found is None) == (np.ptp(values) == 0)
    if found is not None:
        assert limits[0] <= found[0] < values.mean() < found[1] <= limits[1]


def test_groups_of_equal_cases_count_once() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, 30)
    groups = np.arange(30)
    single = mean_interval(values, groups)
    assert mean_interval(np.repeat(values, 4), np.repeat(groups, 4)) == pytest.approx(single)
    alone = mean_interval(np.repeat(values, 4), np.arange(120))
    assert single and alone and alone[1] - alone[0] < 0.6 * (single[1] - single[0])


def test_nothing_is_known_from_one_group_or_equal_values() -> None:
    assert mean_interval(np.array([0.5, 0.7]), np.zeros(2, int)) is None
    assert mean_interval(np.full(5, 0.7), np.arange(5)) is None


def test_mean_over_classes_ignores_what_does_not_count() -> None:
    table = np.random.default_rng(0).random((40, 2))
    table[::2, 1] = np.nan
    low, high = mean_interval(table, np.arange(40)) or (0, 0)
    middle = (table[:, 0].mean() + np.nanmean(table[:, 1])) / 2
    assert low < middle < high
    assert contributions(table).sum() == pytest.approx(middle)
    assert mean_interval(table[:, :1], np.arange(40)) == mean_interval(table[:, 0], np.arange(40))
    empty = np.column_stack([table[:, 0], np.full(40, np.nan)])
    assert mean_interval(empty, np.arange(40)) == mean_interval(table[:, 0], np.arange(40))
    assert contributions(empty).sum() == pytest.approx(table[:, 0].mean())


def test_statistics_of_whole_groups() -> None:
    groups = np.repeat([5, 7, 9, 11], 2)
    values = np.random.default_rng(0).random(8)
    seen = []

    def statistics(rows: np.ndarray) -> np.ndarray:
        seen.append(rows)
        return np.array([values[rows].mean(), np.median(values[rows]), np.nan])

    limits = [(0.0, 1.0), (-INF, INF), (0.0, 1.0)]
    mean, median, undefined = statistic_intervals(statistics, groups, limits, 500)
    assert all(
        (np.bincount(rows, minlength=8)[::2] == np.bincount(rows, minlength=8)[1::2]).all() for rows in seen
    )
    assert mean == pytest.approx(mean_interval(values, groups, (0, 1)), abs=0.1)
    assert median and median[0] < np.median(values) < median[1] and undefined is None
    assert statistic_intervals(statistics, np.zeros(8, int), limits) == [None] * 3


@pytest.mark.parametrize("groups", [20, 60])
def test_coverage_of_a_small_simulation(groups: int) -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        values = generator.beta(8, 2, groups)
        low, high = mean_interval(values, np.arange(groups), (0, 1)) or (0, 0)
        hits += low <= 0.8 <= high
    assert 0.93 <= hits / 400 <= 0.97
