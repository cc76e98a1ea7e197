"""Parts of the page of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from ucf_vit.drawing import page
from ucf_vit.drawing.distributions import draw_distributions
from ucf_vit.evaluation.cases.of_task import titled
from ucf_vit.evaluation.cases.table import ALL
from ucf_vit.evaluation.comparison.compare_results import Comparison
from ucf_vit.evaluation.comparison.pair_parts import pair_parts
from ucf_vit.evaluation.comparison.paired import Paired
from ucf_vit.evaluation.report.parts import Part, figure
from ucf_vit.evaluation.report.scored_cases import BOXES
from ucf_vit.training.evaluation_files import short_number

MOST_CLASSES = 15
"""Number of classes up to which the page draws all."""


def parts_of(comparison: Comparison) -> list[Part]:
    """Returns an overview, distributions by class, and for each pair differences, plots and cases."""
    names = {n: name for one in comparison.scored.values() for n, name in one.names.items()}
    numbers = {name: number for number, name in names.items()}
    numbers = numbers or {name: n for n, name in enumerate(comparison.paired.classes, start=1)}
    shown = _shown_classes(comparison.paired)
    parts = [_overview(comparison), _distributions(comparison.paired, shown, numbers)]
    for number, pair in enumerate(combinations(comparison.methods, 2), start=1):
        parts += pair_parts(comparison, pair, shown, numbers, number)
    return parts


def _overview(comparison: Comparison) -> Part:
    """Returns methods, numbers of cases, and the scores of all classes together."""
    paired = comparison.paired
    groups = len(set(paired.groups.tolist()))
    facts = {name: str(path) for name, path in comparison.methods.items()}
    facts |= {"Cases": f"{len(paired.cases)} in {groups} groups"}
    rows: dict[str, dict[str, float | str]] = {}
    for one in comparison.differences:
        if one.name == ALL or len(paired.classes) == 1:
            means = {one.first: short_number(one.of_first), one.second: short_number(one.of_second)}
            rows.setdefault(one.title, {}).update(means)
    table = page.table(page.Table("mean of all classes", rows))
    return Part("Methods", page.facts(facts) + table + page.notes(comparison.notes))


def _shown_classes(paired: Paired) -> list[str]:
    """Returns the classes to draw: of very many those whose mean first score differs most between methods."""
    if len(paired.classes) <= MOST_CLASSES:
        return list(paired.classes)
    means = np.array(
        [np.ma.masked_invalid(some[..., 0]).mean(axis=0).filled(0) for some in paired.values.values()]
    )
    chosen = np.sort(np.argsort(-np.ptp(means, axis=0), kind="stable")[:MOST_CLASSES])
    return [paired.classes[number] for number in chosen.tolist()]


def _distributions(paired: Paired, classes: Sequence[str], numbers: Mapping[str, int]) -> Part:
    """Returns a row for each class and method."""
    rows = {f"{name}: {method}": (name, method) for name in classes for method in paired.values}
    values: dict[str, dict[str, list[float]]] = {}
    for m, metric in enumerate(paired.metrics.values()):
        by_row = values.setdefault(titled(metric), {})
        for row, (name, method) in rows.items():
            column = paired.values[method][:, paired.classes.index(name), m]
            by_row[row] = column[~np.isnan(column)].tolist()
    files = draw_distributions(values, {row: numbers.get(name, 1) for row, (name, _) in rows.items()})
    notes = [BOXES]
    if len(classes) < len(paired.classes):
        notes.append(f"Drawn are the {len(classes)} of {len(paired.classes)} classes that differ most.")
    return Part("Scores by class", figure("scores", files) + page.notes(notes), files)
