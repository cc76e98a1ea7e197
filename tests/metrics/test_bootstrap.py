"""Intervals: of single values, of groups, of means over classes; a small form of the measured coverage."""

from __future__ import annotations

import numpy as np
import pytest

from ucf_vit.metrics.statistics.bootstrap import drawn_studies, mean_interval


def test_interval_is_close_to_that_of_students_t_for_normal_values() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, 60)
    low, high = mean_interval(values, np.arange(60)) or (0, 0)
    half = 2.0 * values.std(ddof=1) / np.sqrt(60)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert mean_interval(values, np.arange(60)) == (low, high), "the same input, the same interval"


def test_groups_of_equal_cases_count_once() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, 30)
    groups = np.arange(30)
    single = mean_interval(values, groups)
    assert mean_interval(np.repeat(values, 4), np.repeat(groups, 4)) == pytest.approx(single)
    alone = mean_interval(np.repeat(values, 4), np.arange(120))
    assert single and alone and alone[1] - alone[0] < 0.6 * (single[1] - single[0])


def test_limits_and_degenerate_studies() -> None:
    assert mean_interval(np.array([0.5, 0.7]), np.zeros(2, int)) is None
    assert mean_interval(np.full(5, 0.7), np.arange(5)) == pytest.approx((0.7, 0.7))
    low, high = mean_interval(np.array([1, 1, 1, 0, 1.0]), np.arange(5), (0, 1)) or (0, 0)
    assert 0 <= low < 0.8 < high <= 1


def test_mean_over_classes_ignores_what_does_not_count() -> None:
    table = np.random.default_rng(0).random((40, 2))
    table[::2, 1] = np.nan
    low, high = mean_interval(table, np.arange(40)) or (0, 0)
    middle = (table[:, 0].mean() + np.nanmean(table[:, 1])) / 2
    assert low < middle < high
    assert mean_interval(table[:, :1], np.arange(40)) == mean_interval(table[:, 0], np.arange(40))
    empty = np.column_stack([table[:, 0], np.full(40, np.nan)])
    assert mean_interval(empty, np.arange(40)) == mean_interval(table[:, 0], np.arange(40))


def test_studies_draw_whole_groups() -> None:
    groups = np.array([5, 5, 7, 9])
    for rows in drawn_studies(groups, 20):
        assert (rows == 0).sum() == (rows == 1).sum()
        assert sum(np.isin(rows, (0, 2, 3))) == 3


def test_coverage_of_a_small_simulation() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        values = generator.beta(8, 2, 40)
        low, high = mean_interval(values, np.arange(40), (0, 1)) or (0, 0)
        hits += low <= 0.8 <= high
    assert 0.92 <= hits / 300 <= 0.98
