"""Writes the files of a comparison: tables, figures, and a page with all of them."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from itertools import combinations
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.drawing import page
from ucf_vit.evaluation.comparison.compare_results import Comparison
from ucf_vit.evaluation.comparison.differences import Difference
from ucf_vit.evaluation.comparison.names import folder_name
from ucf_vit.evaluation.comparison.parts import parts_of
from ucf_vit.evaluation.results import Results
from ucf_vit.training.evaluation_files import COMPARED, COMPARISON, FOLDER, PAGE

TABLE = "comparison.csv"


def write_comparison(
    comparison: Comparison, results: Mapping[Path, Results], output: Path | None = None
) -> list[Path]:
    """Writes `comparison.csv`, `report.html`, `comparison.json` and figures, and returns their paths.

    They are in a folder of their own among the evaluations in `output`, or else in those of the first method;
    nothing is written where its results were not either. Raises UserError if they cannot be written.
    """
    first = next(iter(results.values()))
    if not first.files:
        return []
    place = (output or first.files[0].parent.parent) / FOLDER
    folder = place / folder_name(first.files[0].stem, list(comparison.methods))
    parts = parts_of(comparison)
    figures = {name: content for part in parts for name, content in part.files.items()}
    title = " and ".join(comparison.methods)
    body = [page.section(part.title, part.content) for part in parts]
    text = page.page(f"Comparison of {title}", f"Compared on {time.strftime('%Y-%m-%d %H:%M:%S')}", body)
    files: dict[str, str | bytes] = {
        TABLE: _csv(comparison),
        PAGE: text,
        COMPARISON: _json(comparison, [TABLE, PAGE, COMPARISON, *figures]),
        **figures,
    }
    try:
        for name, content in files.items():
            write_atomic(folder / name, content)
    except OSError as cause:
        why = cause.strerror or cause
        raise UserError(f"{folder}: cannot be written ({why}); the results above are complete") from None
    return [folder / name for name in files]


def _csv(comparison: Comparison) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Difference)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(one) for one in comparison.differences)
    return text.getvalue()


def _json(comparison: Comparison, files: Sequence[str]) -> str:
    content = {
        "format": COMPARED,
        "methods": {name: str(path) for name, path in comparison.methods.items()},
        "differences": [asdict(one) for one in comparison.differences],
        "cases": [
            asdict(one) for pair in combinations(comparison.methods, 2) for one in comparison.cases(*pair)
        ],
        "left_out": list(comparison.paired.left_out),
        "files": list(files),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
