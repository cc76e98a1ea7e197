"""Comparison of the results of several runs or directories of predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ucf_vit.core.errors import UserError
from ucf_vit.core.lists import few
from ucf_vit.evaluation.cases.classified import ClassifiedCases
from ucf_vit.evaluation.cases.record import Scored
from ucf_vit.evaluation.cases.table import Scores
from ucf_vit.evaluation.comparison.classified import PairedClassified
from ucf_vit.evaluation.comparison.differences import Difference, adjusted, differences_of
from ucf_vit.evaluation.comparison.names import method_names
from ucf_vit.evaluation.comparison.paired import Paired, in_words
from ucf_vit.evaluation.results import Results


@dataclass(frozen=True)
class CaseDifference:
    """Scores of a case by two methods."""

    first: str
    second: str
    case: str
    of_first: float
    of_second: float

    @property
    def difference(self) -> float:
        """Score of the first method - that of the second one."""
        return self.of_first - self.of_second


@dataclass(frozen=True)
class Comparison:
    """Differences of several methods on the same cases; `methods` are their paths by name.

    `paired` are the scores of the single cases, `scored` those of each method with its pictures.
    """

    methods: Mapping[str, Path]
    differences: Sequence[Difference]
    paired: Paired
    scored: Mapping[str, Scored]

    def cases(self, first: str, second: str) -> list[CaseDifference]:
        """Returns the cases that count for two methods, those first in which they differ most.

        Their score is the mean of the first metric over the classes that count.
        """
        pair = (np.ma.masked_invalid(some[..., 0]).mean(axis=1) for some in self.paired.pair(first, second))
        rows = zip(self.paired.cases, *(some.filled(np.nan).tolist() for some in pair), strict=True)
        found = [CaseDifference(first, second, *row) for row in rows if not math.isnan(row[1])]
        return sorted(found, key=lambda one: -abs(one.difference))

    @property
    def notes(self) -> list[str]:
        """Sentences that explain the numbers."""
        left_out = self.paired.left_out
        notes = [
            "Differences are first - second, with 95 % intervals from a bootstrap over groups (patients). "
            "p is from exchanges of the two methods in each group; p (Holm) is corrected for the "
            f"{len(self.differences)} differences of this comparison; those below 0.05 are marked."
        ]
        if left_out:
            notes.append(f"{len(left_out)} cases are not in the results of all methods: {few(left_out)}.")
        return notes


def compare_results(results: Mapping[Path, Results]) -> Comparison:
    """Compares methods on the cases that all of them have.

    Raises UserError for results without scores of cases, of different kinds, or without a common case.
    """
    names = dict(zip(method_names(list(results)), results, strict=True))
    scored: dict[str, Scored] = {}
    for name, path in names.items():
        found = results[path].scored
        if found is None:
            raise UserError(f"{path}: has no scores of single cases that could be compared")
        scored[name] = found
    differences, paired = _compare({name: one.table for name, one in scored.items()})
    return Comparison(names, adjusted(differences), paired, scored)


def _compare(tables: Mapping[str, Any]) -> tuple[list[Difference], Paired]:
    kinds = {type(table) for table in tables.values()}
    if kinds == {ClassifiedCases}:
        classified = PairedClassified.of(tables)
        return classified.differences(), classified.scores()
    metrics = {tuple(table.metrics) for table in tables.values()}
    if kinds != {Scores} or len(metrics) > 1:
        raise UserError(f"{in_words(tables)}: have different scores; compare runs of one kind of task")
    paired = Paired.of(tables)
    return differences_of(paired), paired


def places(methods: Sequence[Path], output: Path | None) -> dict[Path, Path | None]:
    """Returns where the results of each method are written; several have folders of their own in `output`.

    Raises UserError where a method is named twice.
    """
    if len(set(methods)) < len(methods):
        raise UserError(f"{methods[-1]}: is named twice; a method cannot be compared with itself")
    if output is None or len(methods) == 1:
        return dict.fromkeys(methods, output)
    return {path: output / f"{number}_{path.name}" for number, path in enumerate(methods, start=1)}
