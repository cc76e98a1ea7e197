"""Results of evaluations, saved as JSON files in the directory of a run and shown in its report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.drawing import page
from ucf_vit.drawing.page import Table

FOLDER, FORMAT = "evaluations", "ucf_vit.evaluation"
Metrics = Mapping[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation.

    `metrics` are values by name for each column ("unetr", a baseline); None if a value is undefined. `counts`
    are numbers of items by metric and kind, `notes` explain the numbers, `items` are the names of the
    evaluated items by data set.
    """

    title: str
    written: str
    facts: Mapping[str, str]
    metrics: Mapping[str, Metrics]
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_metric(self) -> dict[str, dict[str, float]]:
        """The metrics as rows, each with the columns that have it."""
        names = dict.fromkeys(name for values in self.metrics.values() for name in values)
        return {
            name: {
                column: math.nan if (value := values[name]) is None else value
                for column, values in self.metrics.items()
                if name in values
            }
            for name in names
        }

    def write(self, path: Path) -> None:
        """Writes the results to `path`. Raises OSError."""
        write_atomic(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False) + "\n")

    def section(self) -> str:
        """Returns the results as a section of an HTML page."""
        names = "\n".join(f"{name}\n  " + "\n  ".join(keys) for name, keys in self.items.items())
        environment = "\n".join(f"{name}: {value}" for name, value in self.environment.items())
        parts = [
            page.facts({**self.facts, "Evaluated": self.written}),
            page.table(Table("", self.by_metric)),
            page.table(Table("", self.counts)) if self.counts else "",
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
