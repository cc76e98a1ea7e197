"""Results on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ucf_vit.core.lists import few
from ucf_vit.core.log import say
from ucf_vit.evaluation.comparison.compare_results import Comparison
from ucf_vit.evaluation.comparison.differences import p_in_words
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


def show_comparison(comparison: Comparison) -> None:
    """Prints the differences of methods as tables, one for each pair of them."""
    pairs: dict[str, dict[str, dict[str, str]]] = {}
    for one in comparison.differences:
        row = {
            "difference (95 % interval)": one.in_words,
            "p": p_in_words(one.p),
            "p (Holm)": p_in_words(one.adjusted),
            "cases": str(one.cases),
            "groups": str(one.groups),
        }
        pairs.setdefault(f"{one.first} - {one.second}", {})[one.row] = row
    for name, path in comparison.methods.items():
        say(f"{name}: {path}")
    for title, rows in pairs.items():
        _print(title, rows)
    for note in comparison.notes:
        say(note)


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
