"""Differences between methods in mean scores of cases, with intervals and p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ucf_vit.evaluation.cases.of_task import titled
from ucf_vit.evaluation.cases.table import ALL
from ucf_vit.evaluation.comparison.paired import Paired
from ucf_vit.metrics.statistics.bootstrap import contributions, mean_interval
from ucf_vit.metrics.statistics.permutation import holm, paired_p_values

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Difference `first` - `second` of two methods in a score of a class: its value, interval and p-values.

    `title` is that of the score `metric`, with its unit. `low` and `high` are the 95 % interval, None where
    it is not known; `adjusted` is the p-value with Holm's correction for all differences of the comparison.
    """

    first: str
    second: str
    name: str
    metric: str
    title: str
    of_first: float
    of_second: float
    difference: float
    low: float | None
    high: float | None
    p: float
    adjusted: float
    cases: int
    groups: int

    @property
    def row(self) -> str:
        """Score and class, such as `Dice: liver`."""
        return f"{self.title}: {self.name}"

    @property
    def in_words(self) -> str:
        """The difference with its interval, such as `+0.021 (+0.004 to +0.038)`."""
        if self.low is None or self.high is None:
            return signed(self.difference)
        return f"{signed(self.difference)} ({signed(self.low)} to {signed(self.high)})"


def signed(value: float) -> str:
    """Returns a difference with its sign and three decimals, or one if it is large."""
    return f"{value:+.3f}" if abs(value) < 10 else f"{value:+.1f}"


def p_in_words(value: float) -> str:
    """Returns a p-value with three decimals."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def differences_of(paired: Paired) -> list[Difference]:
    """Returns the differences of all pairs of methods, by score and class; not adjusted yet.

    With several classes "all classes" is the mean over classes of their means.
    """
    return [one for names in combinations(paired.values, 2) for one in _of_pair(paired, names)]


def adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """Returns the differences with Holm's correction for their number."""
    values = holm([one.p for one in differences])
    return [replace(one, adjusted=value) for one, value in zip(differences, values, strict=True)]


def _of_pair(paired: Paired, names: tuple[str, str]) -> list[Difference]:
    one, other = paired.pair(*names)
    columns = {name: slice(k, k + 1) for k, name in enumerate(paired.classes)}
    if len(columns) > 1:
        columns[ALL] = slice(None)
    found, by_group = [], []
    for number, metric in enumerate(paired.metrics.values()):
        for name, part in columns.items():
            pair = [scores[:, part, number] for scores in (one, other)]
            counts = ~np.isnan(pair[0]).all(axis=1)
            if not counts.any():
                continue
            groups = paired.groups[counts]
            first, second = (contributions(scores[counts]) for scores in pair)
            limits = metric.limits_of_differences
            low, high = mean_interval((pair[0] - pair[1])[counts], groups, limits) or (None, None)
            by_group.append(np.bincount(groups, first - second, paired.groups.max() + 1))
            means = float(first.sum()), float(second.sum()), float((first - second).sum())
            facts = (*names, name, metric.name, titled(metric))
            found.append(Difference(*facts, *means, low, high, 1, 1, len(groups), len(set(groups.tolist()))))
    values = paired_p_values(np.stack(by_group, axis=1)).tolist() if found else []
    return [replace(one, p=p) for one, p in zip(found, values, strict=True)]
