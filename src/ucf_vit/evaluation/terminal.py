"""Results on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ucf_vit.core.log import say
from ucf_vit.evaluation.cases.compare import Difference
from ucf_vit.evaluation.trained_items import few
from ucf_vit.training.evaluation_files import KINDS, METRICS, SCORES, Evaluation

_FILES = {"scores.csv": "scores of each case", "report.html": "report"}
"""Contents of the files of an evaluation by their name; all others hold results."""


def show(evaluation: Evaluation, notes: Sequence[str]) -> None:
    """Prints title, items, tables and `notes`."""
    say(evaluation.facts["Data"])
    say(evaluation.title)
    for name, keys in evaluation.items.items():
        say(f"{name}: {len(keys)} items: {few(keys)}")
    if evaluation.metrics:
        _print(METRICS, evaluation.by_metric)
    if evaluation.counts:
        _print(KINDS, evaluation.by_kind)
    if evaluation.summary:
        _print(SCORES, evaluation.by_score)
    for note in notes:
        say(note)


def show_files(files: Sequence[Path]) -> None:
    """Prints the names of the files that were written."""
    for path in files:
        say(f"{_FILES.get(path.name, 'results')}: {path}")


def show_comparison(differences: Sequence[Difference]) -> None:
    """Prints the differences of methods as tables, one for each pair of them."""
    pairs: dict[str, dict[str, dict[str, str]]] = {}
    for one in differences:
        interval = "" if one.low is None else f" ({one.low:.3f} to {one.high:.3f})"
        row = {
            "difference (95 % interval)": f"{one.mean:+.4f}{interval}",
            "p": f"{one.p:.4f}",
            "p (Holm)": f"{one.adjusted:.4f}",
            "cases": str(one.cases),
            "groups": str(one.groups),
        }
        pairs.setdefault(f"{one.first} - {one.second}", {})[f"{one.name}: {one.metric}"] = row
    for title, rows in pairs.items():
        _print(title, rows)


def _print(title: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = Table()
    table.add_column(title)
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(_text(row[column]) if column in row else "" for column in columns))
    Console().print(table)


def _text(value: float | str) -> str:
    if isinstance(value, int | str):
        return str(value)
    return "-" if math.isnan(value) else f"{value:.4f}"
