"""Results of evaluations, saved as JSON files in the directory of a run and shown in its report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.files.names import is_file_name
from ucf_vit.drawing import page
from ucf_vit.drawing.page import Table

FOLDER, FORMAT = "evaluations", "ucf_vit.evaluation"
COMPARISON, COMPARED = "comparison.json", "ucf_vit.comparison"
"""File of a comparison in its folder, which names all files of it, and its format."""
PAGE, CASES = "report.html", "Cases: distributions, pictures and volumes"
"""Page of an evaluation, and the text of the link to it."""
METRICS, KINDS, SCORES = "metric", "numbers of items", "mean (95 % interval)"
"""Headings of the names in the tables of an evaluation."""
Metrics = Mapping[str, float | None]


@dataclass(frozen=True)
class Summary:
    """Mean and median of a score over `cases` of `groups`, and the 95 % interval of the mean, if known."""

    mean: float
    median: float
    low: float | None
    high: float | None
    cases: int
    groups: int

    @property
    def in_words(self) -> str:
        """The mean with its interval, such as `0.871 (0.850 to 0.893)`."""
        interval = f" ({short_number(self.low)} to {short_number(self.high)})" if self.low is not None else ""
        return f"{short_number(self.mean)}{interval}"


def short_number(value: float | None) -> str:
    """Returns a number with three decimals, or two if it is large."""
    return "-" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation.

    `metrics` are values by name for each column ("unetr", a baseline); None if a value is undefined. `counts`
    are numbers of items by metric and kind, `notes` explain the numbers, `items` are the names of the
    evaluated items by data set. `summary` is that of the scores of cases by class; `titles` are those of
    metrics and scores that tables show by another text than their name. `name` is that of its file,
    and of the folder that holds its further `files`.
    """

    title: str
    written: str
    facts: Mapping[str, str]
    metrics: Mapping[str, Metrics]
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    summary: Mapping[str, Mapping[str, Summary]] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    files: tuple[str, ...] = ()

    @property
    def by_metric(self) -> dict[str, dict[str, float]]:
        """The metrics as rows, each with the columns that have it."""
        names = dict.fromkeys(name for values in self.metrics.values() for name in values)
        return {
            self.titles.get(name, name): {
                column: math.nan if (value := values[name]) is None else value
                for column, values in self.metrics.items()
                if name in values
            }
            for name in names
        }

    @property
    def by_kind(self) -> dict[str, Mapping[str, int]]:
        """The numbers of items by the title of a metric."""
        return {self.titles.get(name, name): kinds for name, kinds in self.counts.items()}

    @property
    def by_score(self) -> dict[str, dict[str, str]]:
        """The summary as texts: rows by class and columns by score, or the other way for few classes."""
        rows = {
            name: {self.titles[one]: value.in_words for one, value in scores.items() if one in self.titles}
            for name, scores in self.summary.items()
        }
        columns = dict.fromkeys(title for row in rows.values() for title in row)
        if len(rows) > len(columns):
            return rows
        return {title: {name: row[title] for name, row in rows.items() if title in row} for title in columns}

    def write(self, path: Path) -> None:
        """Writes the results to `path`. Raises OSError."""
        write_atomic(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False) + "\n")

    def section(self) -> str:
        """Returns the results as a section of an HTML page."""
        names = "\n".join(f"{name}\n  " + "\n  ".join(keys) for name, keys in self.items.items())
        environment = "\n".join(f"{name}: {value}" for name, value in self.environment.items())
        parts = [
            page.facts({**self.facts, "Evaluated": self.written}),
            page.table(Table(METRICS, self.by_metric)) if self.metrics else "",
            page.table(Table(SCORES, self.by_score)) if self.summary else "",
            page.table(Table(KINDS, self.by_kind)) if self.counts else "",
            page.link(CASES, f"{FOLDER}/{self.name}/{PAGE}") if PAGE in self.files else "",
            page.notes(self.notes),
            page.folded("Items", names),
            page.folded("Environment of this evaluation", environment),
        ]
        return page.section(self.title, "\n".join(filter(None, parts)))


_SCHEMA = TypeAdapter(Evaluation)


def read_evaluations(directory: Path) -> list[Evaluation]:
    """Returns the evaluations in the directory of a run, newest first; other files are ignored."""
    evaluations = [read_evaluation(path) for path in sorted((directory / FOLDER).glob("*.json"))]
    return sorted(filter(None, evaluations), key=lambda one: one.written, reverse=True)


def read_evaluation(path: Path) -> Evaluation | None:
    """Returns the evaluation in a file, None if the file holds something else."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return _SCHEMA.validate_python(content) if content.pop("format") == FORMAT else None
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError, ValidationError):
        return None


def remove_evaluations(directory: Path) -> None:
    """Removes evaluations and comparisons in the directory of a run, with their files and no others."""
    for path in (directory / FOLDER).glob("*.json"):
        evaluation = read_evaluation(path)
        if evaluation is not None:
            _remove(path.with_suffix(""), evaluation.files)
            path.unlink()
    for path in (directory / FOLDER).glob(f"*/{COMPARISON}"):
        _remove(path.parent, _files_of_comparison(path))


def _remove(folder: Path, files: Sequence[str]) -> None:
    for name in filter(is_file_name, files):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _files_of_comparison(path: Path) -> tuple[str, ...]:
    """Returns the names of the files of a comparison; none where the file holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return tuple(map(str, content["files"])) if content["format"] == COMPARED else ()
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ()
