"""Comparison of the results of several runs or directories of predictions, and its files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.evaluation.cases.compare import Difference, compare
from ucf_vit.evaluation.cases.table import Scores
from ucf_vit.evaluation.results import Results
from ucf_vit.training.evaluation_files import FOLDER

NAME, FORMAT = "comparison", "ucf_vit.comparison"


@dataclass(frozen=True)
class Comparison:
    """Differences of several methods, and the files that hold them."""

    differences: Sequence[Difference]
    files: Sequence[Path]


def compare_results(results: Mapping[str, Results], output: Path | None = None) -> Comparison:
    """Compares methods by name on the cases that all of them have, and writes `comparison.csv` and `.json`.

    They are written to the folder of evaluations in `output`, or else in the place of the first results; to
    none where these were not written. Raises UserError for results without scores of cases, or without a
    common case.
    """
    tables: dict[str, Scores] = {}
    for name, one in results.items():
        table = None if one.scored is None else one.scored.table
        if not isinstance(table, Scores):
            raise UserError(f"{name}: has no scores of single cases that could be compared")
        tables[name] = table
    differences = compare(tables)
    written = next(iter(results.values())).files
    place = output or (written[0].parent.parent if written else None)
    return Comparison(differences, [] if place is None else _write(place / FOLDER, differences, list(tables)))


def places(methods: Sequence[Path], output: Path | None) -> dict[Path, Path | None]:
    """Returns where the results of each method are written; several have folders of their own in `output`.

    Raises UserError where a method is named twice.
    """
    if len(set(methods)) < len(methods):
        raise UserError(f"{methods[-1]}: is named twice; a method cannot be compared with itself")
    if output is None or len(methods) == 1:
        return dict.fromkeys(methods, output)
    return {path: output / f"{number}_{path.name}" for number, path in enumerate(methods, start=1)}


def _write(folder: Path, differences: Sequence[Difference], names: Sequence[str]) -> list[Path]:
    rows = [asdict(one) for one in differences]
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Difference)], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    content = {"format": FORMAT, "methods": list(names), "differences": rows}
    paths = [folder / f"{NAME}.csv", folder / f"{NAME}.json"]
    for path, written in zip(paths, (text.getvalue(), json.dumps(content, indent=1) + "\n"), strict=True):
        write_atomic(path, written)
    return paths
