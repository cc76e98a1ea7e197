"""Parts of the page on cases with scores by class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

from ucf_vit.drawing import page
from ucf_vit.drawing.case_pictures import PicturedCase, draw_case
from ucf_vit.drawing.distributions import draw_distributions
from ucf_vit.drawing.viewer import ViewedCase, viewer
from ucf_vit.evaluation.cases.of_task import titled
from ucf_vit.evaluation.cases.table import Scores
from ucf_vit.evaluation.cases.views import LIMIT, Candidate, Gallery
from ucf_vit.evaluation.report.parts import Part, figure

MOST_CASES = 500
"""Number of cases up to which the page has a table of them; the CSV file always has all."""
CHOSEN = (
    "Cases by the mean Dice of their classes. Lines over the image: label solid, prediction dashed, in the "
    "colours of the areas beside it."
)
BOXES = "A dot is a case, a box the middle half of them with the median, a line from 5 to 95 % of them."
COPIES = f"Volumes of more than {LIMIT:,} voxels are cropped to their classes, then thinned out."


def scored_parts(scores: Scores, gallery: Gallery, names: Mapping[int, str]) -> list[Part]:
    """Returns distributions, pictures of the worst, a middle and the best cases, volumes, and a table."""
    parts = [_distributions(scores, names)]
    means = {case: scores.of_case(case, "dice") for case in scores.cases} if "dice" in scores.metrics else {}
    known = [mean for mean in means.values() if not math.isnan(mean)]
    if known:
        chosen = gallery.chosen(median(known))
        parts += [_pictures(chosen, names), _volumes(chosen, names)]
    return [*parts, _table(scores)]


def _distributions(scores: Scores, names: Mapping[int, str]) -> Part:
    numbers = {name: number for number, name in names.items()}
    values = {
        titled(one): {
            name: [row.values[metric] for row in scores.rows if row.name == name and metric in row.values]
            for name in scores.classes
        }
        for metric, one in scores.metrics.items()
    }
    files = draw_distributions(values, numbers)
    return Part("Scores of all cases", figure("scores", files) + page.notes([BOXES] if files else []), files)


def _pictures(chosen: list[tuple[str, Candidate]], names: Mapping[int, str]) -> Part:
    files: dict[str, bytes] = {}
    figures = []
    for number, (title, one) in enumerate(chosen, start=1):
        view = one.view
        if view.label is None or view.predicted is None:
            continue
        name = f"case_{number}_{title}"
        text = f"{title}: {one.case}, Dice {one.score:.3f}"
        predictions = {"prediction": view.predicted}
        case = PicturedCase(text, view.image, view.label, predictions, view.spacing, view.oriented)
        drawn = draw_case(name, case, names)
        figures.append(figure(name, drawn))
        files |= drawn
    return Part("Worst, median and best cases", "\n".join(figures) + page.notes([CHOSEN]), files)


def _volumes(chosen: list[tuple[str, Candidate]], names: Mapping[int, str]) -> Part:
    volumes = [
        ViewedCase(
            f"{title}: {one.case}, Dice {one.score:.3f}",
            one.view.image,
            one.view.label,
            one.view.predicted,
            one.view.spacing,
            one.view.remark,
            one.view.oriented,
        )
        for title, one in chosen
        if one.view.label is not None and one.view.predicted is not None and one.view.label.ndim == 3
    ]
    shown = viewer(volumes, names)
    return Part("Volumes", shown + page.notes([COPIES]) if shown else "")


def _table(scores: Scores) -> Part:
    """Returns the main score of each case and class."""
    metric = next(iter(scores.metrics.values()))
    rows: dict[str, dict[str, float | str]] = {}
    for case, of_case in list(scores.cases.items())[:MOST_CASES]:
        rows[case] = {row.name: row.values.get(metric.name, row.kind) for row in of_case}
    more = len(scores.cases) - len(rows)
    notes = [f"{more} more cases are in scores.csv."] if more else []
    return Part(f"{titled(metric)} of each case", page.table(page.Table("case", rows)) + page.notes(notes))
