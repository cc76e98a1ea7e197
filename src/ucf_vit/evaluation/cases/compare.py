"""Comparison of several methods on the same cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.evaluation.cases.table import ALL, Scores
from ucf_vit.metrics.policy import Metric
from ucf_vit.metrics.statistics.bootstrap import mean_interval
from ucf_vit.metrics.statistics.permutation import holm, paired_p_values

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Difference `first` - `second` of a score of a class: its mean, 95 % interval, and p-values.

    `adjusted` is the p-value with Holm's correction for all differences of the comparison.
    """

    first: str
    second: str
    name: str
    metric: str
    mean: float
    low: float | None
    high: float | None
    p: float
    adjusted: float
    cases: int
    groups: int


def compare(tables: Mapping[str, Scores]) -> list[Difference]:
    """Returns the differences of all pairs of methods, by class and score, on the cases that all have.

    A class that counts in a case for one method only, since the other is right that it is not there, has the
    best score for the other, whose table has no such class where it never predicts it. Raises UserError where
    the methods have no case in common, or labels of other classes.
    """
    tables = _same_classes(tables)
    first = next(iter(tables.values()))
    common = [case for case in first.cases if all(case in table.cases for table in tables.values())]
    if not common:
        raise UserError(f"{_list(list(tables))}: have no case in common; evaluate them on the same items")
    found: list[Difference] = []
    for one, other in combinations(tables, 2):
        found += _of_pair((one, other), (tables[one], tables[other]), common)
    adjusted = holm([difference.p for difference in found])
    return [
        Difference(**{**vars(one), "adjusted": value}) for one, value in zip(found, adjusted, strict=True)
    ]


def _same_classes(tables: Mapping[str, Scores]) -> dict[str, Scores]:
    """Returns the tables with the classes of all. Raises UserError where one lacks a class with a label."""
    rows = [row for table in tables.values() for row in table.rows]
    classes = tuple(dict.fromkeys(row.name for row in rows))
    labelled = dict.fromkeys(row.name for row in rows if row.kind in ("both", "missed"))
    for method, table in tables.items():
        if missing := [name for name in labelled if name not in table.classes]:
            raise UserError(
                f"{method}: has the classes {_list(table.classes)}, others also {_list(missing)} in labels"
            )
    return {method: table.with_classes(classes) for method, table in tables.items()}


def _of_pair(names: tuple[str, str], pair: tuple[Scores, Scores], cases: Sequence[str]) -> list[Difference]:
    groups = [pair[0].cases[case][0].group for case in cases]
    places = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    numbers = np.array([places[group] for group in groups])
    columns: dict[tuple[str, str], Array] = {}
    for metric in pair[0].metrics.values():
        table = np.stack([_differences(pair, cases, name, metric) for name in pair[0].classes], axis=1)
        some = ~np.isnan(table)
        columns |= {(name, metric.name): table[:, n] for n, name in enumerate(pair[0].classes)}
        if len(pair[0].classes) > 1:
            sums = np.where(some, table, 0).sum(axis=1)
            columns[ALL, metric.name] = np.where(some.any(axis=1), sums / some.sum(axis=1).clip(1), np.nan)
    columns = {key: column for key, column in columns.items() if not np.isnan(column).all()}
    if not columns:
        return []
    means = np.stack([_by_group(column, numbers) for column in columns.values()], axis=1)
    found = []
    for (key, column), p in zip(columns.items(), paired_p_values(means).tolist(), strict=True):
        counts = ~np.isnan(column)
        low, high = mean_interval(column[counts], numbers[counts]) or (None, None)
        mean = float(column[counts].mean())
        sizes = int(counts.sum()), len(set(numbers[counts].tolist()))
        found.append(Difference(*names, *key, mean, low, high, p, p, *sizes))
    return found


def _differences(pair: tuple[Scores, Scores], cases: Sequence[str], name: str, metric: Metric) -> Array:
    """Returns the differences `[N]` of a score of a class; NaN where it counts for neither method."""
    values, made_up = [], []
    for table in pair:
        rows = {row.case: row for row in table.rows if row.name == name}
        values.append([rows[case].values.get(metric.name, math.nan) for case in cases])
        made_up.append([rows[case].kind == "only predicted" for case in cases])
    one, other = np.array(values)
    one = np.where(np.all(made_up, axis=0), other, one)  # distances of tables of other cases differ
    best = 1.0 if metric.better == "max" else 0.0
    one, other = (
        np.where(np.isnan(one) & ~np.isnan(other), best, one),
        np.where(np.isnan(other) & ~np.isnan(one), best, other),
    )
    return np.asarray(one - other)


def _by_group(values: Array, groups: NDArray[np.int64]) -> Array:
    """Returns the mean of the values of each group; 0, which has no effect, where none counts."""
    counts = ~np.isnan(values)
    sums = np.bincount(groups, np.where(counts, values, 0))
    return np.asarray(sums / np.bincount(groups, counts).clip(1))


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
