"""Scores of several methods on the same cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.evaluation.cases.table import Scores
from ucf_vit.metrics.policy import Metric

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """Scores of several methods on the `cases` that all of them have.

    `groups` are the numbers `[N]` of the groups of the cases. `values` are the scores `[N, K, M]` of each
    method: of K `classes` by M `metrics`, NaN where a class does not count; `made_up` `[N, K]` says where a
    method predicts a class that is not in the label. `left_out` are the cases that a method lacks.
    """

    cases: tuple[str, ...]
    groups: NDArray[np.int64]
    classes: tuple[str, ...]
    metrics: Mapping[str, Metric]
    values: Mapping[str, Array]
    made_up: Mapping[str, NDArray[np.bool_]]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, tables: Mapping[str, Scores]) -> Paired:
        """Returns the scores of methods by name.

        Raises UserError where the methods have no case in common, or labels of other classes.
        """
        tables = _same_classes(tables)
        first = next(iter(tables.values()))
        cases, left_out = common_cases({name: tuple(table.cases) for name, table in tables.items()})
        rows = {name: [table.cases[case] for case in cases] for name, table in tables.items()}
        return cls(
            cases,
            numbered([first.cases[case][0].group for case in cases]),
            first.classes,
            first.metrics,
            {
                name: np.array(
                    [[[row.values.get(m, np.nan) for m in first.metrics] for row in case] for case in some]
                )
                for name, some in rows.items()
            },
            {
                name: np.array([[row.kind == "only predicted" for row in case] for case in some])
                for name, some in rows.items()
            },
            left_out,
        )

    def pair(self, first: str, second: str) -> tuple[Array, Array]:
        """Returns the scores `[N, K, M]` of two methods; NaN where a class counts for neither.

        Where one method predicts a class that is not there, the other one is right and has the best score;
        where both do, they have the same, though distances of tables of other images may differ.
        """
        one, other = self.values[first], self.values[second]
        one = np.where((self.made_up[first] & self.made_up[second])[..., None], other, one)
        best = np.array([metric.best for metric in self.metrics.values()], np.float64)
        return (
            np.where(np.isnan(one) & ~np.isnan(other), best, one),
            np.where(np.isnan(other) & ~np.isnan(one), best, other),
        )


def common_cases(cases: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the cases that all methods have, and those that a method lacks.

    Raises UserError where no case is common.
    """
    every = dict.fromkeys(case for some in cases.values() for case in some)
    common = set(every).intersection(*cases.values())
    if not common:
        raise UserError(f"{in_words(cases)}: have no case in common; evaluate them on the same items")
    return tuple(c for c in every if c in common), tuple(c for c in every if c not in common)


def numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Returns the number `[N]` of each name, in the order in which they occur."""
    places = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], np.int64)


def in_words(names: Sequence[str] | Mapping[str, object]) -> str:
    """Returns names in a sentence."""
    return ", ".join(names)


def _same_classes(tables: Mapping[str, Scores]) -> dict[str, Scores]:
    """Returns the tables with the classes of all; a class that a method never predicts, and that is in no
    label, may be missing in its table. Raises UserError where one lacks a class with a label.
    """
    rows = [row for table in tables.values() for row in table.rows]
    classes = tuple(dict.fromkeys(row.name for row in rows))
    labelled = dict.fromkeys(row.name for row in rows if row.kind in ("both", "missed"))
    for method, table in tables.items():
        if missing := [name for name in labelled if name not in table.classes]:
            raise UserError(
                f"{method}: has the classes {in_words(table.classes)}, others also {in_words(missing)} in "
                "labels"
            )
    return {method: table.with_classes(classes) for method, table in tables.items()}
