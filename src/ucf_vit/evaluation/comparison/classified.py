"""Differences between methods that classify the same cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.evaluation.cases.classified import ClassifiedCases, affordable
from ucf_vit.evaluation.cases.of_task import titled
from ucf_vit.evaluation.cases.table import ALL
from ucf_vit.evaluation.comparison.differences import Difference
from ucf_vit.evaluation.comparison.paired import Paired, common_cases, in_words, numbered
from ucf_vit.metrics.classification import OVERALL, overall
from ucf_vit.metrics.policy import Metric
from ucf_vit.metrics.statistics.bootstrap import statistic_intervals
from ucf_vit.metrics.statistics.permutation import exchanged_p_values

RIGHT = Metric("right", "Probability of the right class")
"""Score of a case, by which cases are shown; the differences are in scores of all cases together."""
Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class PairedClassified:
    """Probabilities `[N, K]` of several methods for the `cases` that all of them have.

    `groups` are the numbers `[N]` of their groups, `labels` `[N]` those of their classes, called `names`.
    """

    cases: tuple[str, ...]
    groups: Rows
    labels: Rows
    names: tuple[str, ...]
    probabilities: Mapping[str, NDArray[np.float32]]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, tables: Mapping[str, ClassifiedCases]) -> PairedClassified:
        """Returns the cases of methods by name, with the classes in the order of the first method.

        Raises UserError where the methods have no case in common, other classes, or other labels.
        """
        by_case = {name: {one.case: one for one in table.cases} for name, table in tables.items()}
        cases, left_out = common_cases({name: tuple(some) for name, some in by_case.items()})
        first = next(iter(tables))
        names = tables[first].all_names
        probabilities, labels = {}, {}
        for method, table in tables.items():
            if set(table.all_names) != set(names):
                raise UserError(
                    f"{method}: has the classes {in_words(table.all_names)}, {first} {in_words(names)}"
                )
            order = [table.all_names.index(name) for name in names]
            some = [by_case[method][case] for case in cases]
            probabilities[method] = np.stack([one.probabilities for one in some])[:, order]
            labels[method] = np.array([order.index(one.label) for one in some], np.int64)
            if wrong := np.flatnonzero(labels[method] != labels[first]).tolist():
                raise UserError(f"{method}: {cases[wrong[0]]} has another class than in {first}")
        groups = numbered([by_case[first][case].group for case in cases])
        return cls(cases, groups, labels[first], names, probabilities, left_out)

    def scores(self) -> Paired:
        """Returns the probabilities of the right class as scores of the cases."""
        there = np.arange(len(self.names)) == self.labels[:, None]
        values = {
            name: np.where(there, some.astype(np.float64), np.nan)[..., None]
            for name, some in self.probabilities.items()
        }
        nowhere = dict.fromkeys(values, np.zeros(there.shape, bool))
        metrics = {RIGHT.name: RIGHT}
        return Paired(self.cases, self.groups, self.names, metrics, values, nowhere, self.left_out)

    def differences(self) -> list[Difference]:
        """Returns the differences of all pairs of methods in the scores of all cases; not adjusted yet.

        Intervals are from a bootstrap over groups, p-values from exchanges of the two methods in groups.
        """
        return [one for names in combinations(self.probabilities, 2) for one in self._of_pair(*names)]

    def _of_pair(self, first: str, second: str) -> list[Difference]:
        one, other = self.probabilities[first], self.probabilities[second]
        values = overall(self.labels, one), overall(self.labels, other)
        names = [name for name in OVERALL if all(name in some for some in values)]
        number = affordable(2 * one.size)
        of_rows = partial(_differences, names, self.labels, one, other)
        limits = [OVERALL[name].limits_of_differences for name in names]
        intervals = statistic_intervals(of_rows, self.groups, limits, number)
        groups = int(self.groups.max()) + 1

        def of_exchange(mask: NDArray[np.bool_]) -> Array:
            swap = mask[self.groups][:, None]
            return _differences(names, self.labels, np.where(swap, other, one), np.where(swap, one, other))

        p_values = exchanged_p_values(of_exchange, groups, number).tolist()
        found = []
        for name, interval, p in zip(names, intervals, p_values, strict=True):
            low, high = interval or (None, None)
            pair = values[0][name], values[1][name]
            facts = (first, second, ALL, name, titled(OVERALL[name]))
            sizes = len(self.cases), groups
            found.append(Difference(*facts, *pair, pair[0] - pair[1], low, high, p, p, *sizes))
        return found


def _differences(
    names: list[str],
    labels: Rows,
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    rows: Rows | slice = slice(None),
) -> Array:
    """Returns the differences of scores of the cases in `rows`; NaN where one is not defined."""
    values = [overall(labels[rows], some[rows]) for some in (one, other)]
    return np.array([values[0].get(name, np.nan) - values[1].get(name, np.nan) for name in names])
