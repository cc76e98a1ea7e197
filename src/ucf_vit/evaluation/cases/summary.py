"""Means, medians and 95 % intervals of the scores of all cases."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ucf_vit.evaluation.cases.table import ALL, Row, Scores
from ucf_vit.metrics.statistics.bootstrap import ANY, Limits, contributions, mean_interval
from ucf_vit.training.evaluation_files import Summary


def summarise(scores: Scores) -> dict[str, dict[str, Summary]]:
    """Returns the summary of each score by class, then of each measurement.

    With several classes "all classes" is the mean over the classes, as `dice` of the validation is.
    """
    cases = list(scores.cases)
    names = [rows[0].group for rows in scores.cases.values()]
    places = {group: number for number, group in enumerate(dict.fromkeys(names))}
    groups = np.array([places[name] for name in names])
    by_class = {name: {row.case: row for row in scores.rows if row.name == name} for name in scores.classes}
    summary: dict[str, dict[str, Summary]] = {name: {} for name in scores.classes}
    if len(scores.classes) > 1:
        summary[ALL] = {}
    for metric, one in scores.metrics.items():
        columns = {name: _column(rows, cases, metric) for name, rows in by_class.items()}
        if len(scores.classes) > 1:
            columns[ALL] = np.stack(list(columns.values()), axis=1)
        for name, values in columns.items():
            if not np.isnan(values).all():
                summary[name][metric] = _summary(values, groups, one.limits)
    for name, rows in by_class.items():
        for size in dict.fromkeys(size for row in rows.values() for size in row.sizes):
            column = np.array([rows[case].sizes.get(size, math.nan) for case in cases])
            summary[name][size] = _summary(column, groups, ANY)
    return summary


def _column(rows: dict[str, Row], cases: list[str], metric: str) -> NDArray[np.float64]:
    """Returns the scores of a class `[N]`, NaN where it does not count in a case."""
    return np.array([rows[case].values.get(metric, math.nan) for case in cases])


def _summary(values: NDArray[np.float64], groups: NDArray[np.int64], limits: Limits) -> Summary:
    """Returns the summary of values `[N]`, or of the mean over the classes of values `[N, K]`."""
    counts = ~np.isnan(values.reshape(len(values), -1)).all(axis=1)
    values, groups = values[counts], groups[counts]
    table = values.reshape(len(values), -1)
    mean = math.fsum(contributions(table))
    low, high = mean_interval(values, groups, limits) or (None, None)
    median = float(np.median([np.nanmean(row) for row in table]))
    return Summary(mean, median, low, high, len(values), len(set(groups.tolist())))
