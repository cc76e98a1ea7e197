"""Pictures of the cases in which two methods differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ucf_vit.drawing.case_pictures import PicturedCase, draw_case
from ucf_vit.drawing.confusion import Example, draw_examples
from ucf_vit.evaluation.cases.classified import ClassifiedCases
from ucf_vit.evaluation.cases.views import View
from ucf_vit.evaluation.comparison.compare_results import Comparison

MOST = 4
"""Number of segmented cases that are pictured."""


def pictures_of(
    comparison: Comparison, pair: tuple[str, str], cases: Sequence[str], number: int
) -> dict[str, bytes]:
    """Returns figures of the first of these `cases` of which both methods have a copy, as files by name.

    Segmentations are drawn beside each other, classified pictures with what each method says of them. Names
    of files have the `number` of the pair.
    """
    first, second = (comparison.scored[name] for name in pair)
    views = first.gallery.views, second.gallery.views
    if isinstance(first.table, ClassifiedCases) and isinstance(second.table, ClassifiedCases):
        tables = {pair[0]: first.table, pair[1]: second.table}
        return draw_examples(_examples(tables, views[0] | views[1], cases), f"examples_{number}")
    names = {**second.names, **first.names}
    files: dict[str, bytes] = {}
    drawn = 0
    for case in cases:
        pictured = _pictured(case, pair, *(some.get(case) for some in views))
        if pictured is not None and drawn < MOST:
            drawn += 1
            files |= draw_case(f"case_{number}_{drawn}", pictured, names)
    return files


def _pictured(case: str, pair: tuple[str, str], one: View | None, other: View | None) -> PicturedCase | None:
    """Returns a case from the copies of both methods, None where they do not show the same part of it."""
    if one is None or other is None or one.label is None or other.label is None:
        return None
    if one.predicted is None or other.predicted is None or one.label.shape != other.label.shape:
        return None
    if (one.origin, one.spacing) != (other.origin, other.spacing):
        return None
    predictions = {pair[0]: one.predicted, pair[1]: other.predicted}
    return PicturedCase(case, one.image, one.label, predictions, one.spacing, one.oriented)


def _examples(
    tables: Mapping[str, ClassifiedCases], views: Mapping[str, View], cases: Sequence[str]
) -> list[Example]:
    """Returns the pictures of `cases` with their class, and the one that each method says."""
    examples = []
    for case in cases:
        view = views.get(case)
        if view is None or view.image is None:
            continue
        said = []
        for name, table in tables.items():
            probabilities = table.by_case[case].probabilities
            said.append(f"{name}: {table.name(int(probabilities.argmax()))} {probabilities.max():.2f}")
        first = next(iter(tables.values()))
        right = all(table.by_case[case].right for table in tables.values())
        examples.append(Example(view.image, "\n".join([first.name(first.by_case[case].label), *said]), right))
    return examples
