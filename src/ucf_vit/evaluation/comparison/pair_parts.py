"""Parts of the page of a comparison on a pair of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ucf_vit.drawing import page
from ucf_vit.drawing.paired import draw_paired
from ucf_vit.evaluation.cases.of_task import titled
from ucf_vit.evaluation.cases.table import ALL
from ucf_vit.evaluation.comparison.compare_results import Comparison
from ucf_vit.evaluation.comparison.differences import Difference, p_in_words, signed
from ucf_vit.evaluation.comparison.pictures import pictures_of
from ucf_vit.evaluation.report.parts import Part, figure
from ucf_vit.training.evaluation_files import short_number

MOST_ROWS, MOST_CASES = 120, 10
"""Numbers of differences and of cases up to which the page shows all; the files always do."""
SIGNIFICANT = 0.05
DOTS = "A dot is a case; on the line both methods are equal."


def pair_parts(
    comparison: Comparison,
    pair: tuple[str, str],
    classes: Sequence[str],
    numbers: Mapping[str, int],
    number: int,
) -> list[Part]:
    """Returns the differences of a pair of methods, a plot of its cases, and those that differ most.

    `classes` are drawn, with the colours of their `numbers`; `number` is that of the pair.
    """
    title = " - ".join(pair)
    return [
        _differences(title, [one for one in comparison.differences if (one.first, one.second) == pair]),
        _paired_plot(comparison, pair, classes, numbers, f"paired_{number}"),
        _cases(comparison, pair, number),
    ]


def _differences(title: str, differences: Sequence[Difference]) -> Part:
    shown = list(differences)
    if len(shown) > MOST_ROWS:
        shown = sorted(shown, key=lambda one: (one.name != ALL, one.p))[:MOST_ROWS]
    rows: dict[str, dict[str, float | str]] = {
        one.row: {
            one.first: short_number(one.of_first),
            one.second: short_number(one.of_second),
            "difference (95 % interval)": one.in_words,
            "p": p_in_words(one.p),
            "p (Holm)": p_in_words(one.adjusted),
            "cases": one.cases,
            "groups": one.groups,
        }
        for one in shown
    }
    marked = {one.row for one in shown if one.adjusted < SIGNIFICANT}
    more = len(differences) - len(shown)
    notes = [f"{more} more are in comparison.csv."] if more else []
    return Part(title, page.table(page.Table("score", rows, marked=marked)) + page.notes(notes))


def _paired_plot(
    comparison: Comparison,
    pair: tuple[str, str],
    classes: Sequence[str],
    numbers: Mapping[str, int],
    name: str,
) -> Part:
    paired = comparison.paired
    one, other = paired.pair(*pair)
    panels = {}
    for m, metric in enumerate(paired.metrics.values()):
        by_class = {}
        for label in classes:
            k = paired.classes.index(label)
            counts = ~np.isnan(one[:, k, m])
            by_class[label] = (one[counts, k, m], other[counts, k, m])
        panels[titled(metric)] = by_class
    files = draw_paired(name, pair, panels, numbers)
    return Part(f"Each case: {' and '.join(pair)}", figure(name, files) + page.notes([DOTS]), files)


def _cases(comparison: Comparison, pair: tuple[str, str], number: int) -> Part:
    """Returns the cases in which two methods differ most, with pictures of them."""
    metric = next(iter(comparison.paired.metrics.values()))
    most = [one for one in comparison.cases(*pair) if one.difference][:MOST_CASES]
    rows: dict[str, dict[str, float | str]] = {
        one.case: {
            pair[0]: short_number(one.of_first),
            pair[1]: short_number(one.of_second),
            "difference": signed(one.difference),
        }
        for one in most
    }
    files = pictures_of(comparison, pair, [one.case for one in most], number)
    names = [name.removesuffix(".svg") for name in files if name.endswith(".svg")]
    figures = "\n".join(figure(name, files) for name in names)
    table = page.table(page.Table(f"case, by {titled(metric)}", rows)) if rows else ""
    return Part(f"Largest differences: {' and '.join(pair)}", table + figures, files)
