"""Parts of the page on classified images."""

from __future__ import annotations

from ucf_vit.drawing import page
from ucf_vit.drawing.confusion import Example, draw_confusion, draw_examples
from ucf_vit.evaluation.cases.classified import ClassifiedCases
from ucf_vit.evaluation.cases.views import Gallery
from ucf_vit.evaluation.report.parts import Part, figure

EXAMPLES = 24
"""Number of pictures shown."""
TITLES = {
    "cases": "cases",
    "predicted": "predicted",
    "sensitivity": "Sensitivity",
    "precision": "Precision",
    "f1": "F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
}


def classified_parts(table: ClassifiedCases, gallery: Gallery) -> list[Part]:
    """Returns a table of classes, the confusion matrix, and a grid of examples."""
    counts = table.confusion
    names = [table.name(number) for number in range(len(counts))]
    summary = table.summary_of_classes()
    rows: dict[str, dict[str, float | str]] = {
        name: {title: values[one] for one, title in TITLES.items() if one in values}
        for name, values in summary.items()
    }
    matrix = draw_confusion(counts, names)
    return [
        Part("Classes", page.table(page.Table("class", rows))),
        Part("Confusion matrix", figure("confusion", matrix), matrix),
        _examples(table, gallery),
    ]


def _examples(table: ClassifiedCases, gallery: Gallery) -> Part:
    """Returns the worst cases, others at random, and the best ones; wrong ones have a frame."""
    by_case = {one.case: one for one in table.cases}
    chosen = {one.case: one for one in (*gallery.worst, *gallery.best, *gallery.sample)}
    examples = []
    for one in sorted(list(chosen.values())[:EXAMPLES], key=lambda one: one.score):
        case = by_case[one.case]
        best = int(case.probabilities.argmax())
        if one.view.image is not None:
            right = best == case.label
            said = table.name(case.label) + ("" if right else f", predicted {table.name(best)}")
            title = f"{said}\np = {one.score:.2f}"
            examples.append(Example(one.view.image, title, right))
    files = draw_examples(examples)
    note = "p is the probability of the right class; images that are classified wrongly have a frame."
    content = figure("examples", files) + page.notes([note]) if files else ""
    return Part("Examples, from the least to the most certain", content, files)
