"""Writes the files of an evaluation that show its cases: tables, figures, and a page with all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.drawing import page
from ucf_vit.evaluation.cases.classified import ClassifiedCases
from ucf_vit.evaluation.cases.record import Scored
from ucf_vit.evaluation.report.classified_cases import classified_parts
from ucf_vit.evaluation.report.parts import Part
from ucf_vit.evaluation.report.scored_cases import scored_parts
from ucf_vit.training.evaluation_files import PAGE, Evaluation


def write_cases(folder: Path, evaluation: Evaluation, scored: Scored) -> list[Path]:
    """Writes `scores.csv`, `report.html`, `scores.json` and figures as PNG and SVG, and returns their paths.

    Raises OSError.
    """
    table = scored.table
    parts = (
        classified_parts(table, scored.gallery)
        if isinstance(table, ClassifiedCases)
        else scored_parts(table, scored.gallery, scored.names)
    )
    figures = {name: content for part in parts for name, content in part.files.items()}
    for name, content in figures.items():
        write_atomic(folder / name, content)
    csv_file, json_file = table.write(folder)
    text = page.page(evaluation.title, f"Evaluated on {evaluation.written}", _body(evaluation, parts))
    write_atomic(folder / PAGE, text)
    return [csv_file, folder / PAGE, json_file, *(folder / name for name in figures)]


def _body(evaluation: Evaluation, parts: list[Part]) -> list[str]:
    summary = replace(evaluation, title="Summary", files=())
    return [summary.section(), *(page.section(part.title, part.content) for part in parts)]
