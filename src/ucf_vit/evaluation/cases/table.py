"""The scores of each case and class, as a table that can be saved."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.text import read_text
from ucf_vit.data.reading import reading
from ucf_vit.metrics.policy import KINDS, ClassScores, Metric

CSV, JSON, FORMAT = "scores.csv", "scores.json", "ucf_vit.scores"
ALL = "all classes"
"""Name of the mean over classes in a summary."""
_NAMES = ("case", "group", "class", "kind")


@dataclass(frozen=True)
class Row:
    """Scores of class `name` (empty: of the whole case) in a case of a group, such as a patient.

    `values` are scores by name; none where the class does not count in the case. `sizes` are measurements
    that are no scores.
    """

    case: str
    group: str
    name: str
    kind: str
    values: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """Rows of all cases in order, with the definitions of their scores by name."""

    rows: tuple[Row, ...]
    metrics: Mapping[str, Metric]

    @classmethod
    def of_classes(
        cls,
        cases: Iterable[tuple[str, str, Sequence[ClassScores]]],
        names: Sequence[str],
        metrics: Mapping[str, Metric],
    ) -> Scores:
        """Returns the table of (case, group, scores of each class), whose classes have these `names`.

        The distance of a structure that is only predicted is the largest diagonal of all images, so that no
        such structure in a small image improves the mean; no distance is larger.
        """
        cases = sorted(cases, key=lambda case: case[:2])
        largest = max((one.diagonal for case in cases for one in case[2]), default=0.0)
        distances = {key: largest for key, metric in metrics.items() if metric.worst is None}
        rows = []
        for case, group, classes in cases:
            for name, one in zip(names, classes, strict=True):
                values = one.values
                if one.kind == "only predicted":
                    values = {**values, **distances}
                rows.append(Row(case, group, name, one.kind, values, one.sizes))
        bounded = {key: replace(metrics[key], most=most or None) for key, most in distances.items()}
        return cls(tuple(rows), {**metrics, **bounded})

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in order."""
        return tuple(dict.fromkeys(row.name for row in self.rows))

    @cached_property
    def cases(self) -> dict[str, tuple[Row, ...]]:
        """The rows of each case, by its name."""
        cases: dict[str, list[Row]] = {}
        for row in self.rows:
            cases.setdefault(row.case, []).append(row)
        return {case: tuple(rows) for case, rows in cases.items()}

    @cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """Numbers of cases of each class by kind; "missed" ones are "labelled" too."""
        counts = {}
        for name in self.classes:
            kinds = [row.kind for row in self.rows if row.name == name]
            labelled = {"labelled": kinds.count("both") + kinds.count("missed")}
            counts[name] = labelled | {kind: kinds.count(kind) for kind in KINDS[1:]}
        return counts

    def with_classes(self, names: Sequence[str]) -> Scores:
        """Returns the table of these classes; those that it does not have are in no label and prediction."""
        rows: list[Row] = []
        for case, own in self.cases.items():
            by_name = {row.name: row for row in own}
            rows += [by_name.get(name) or Row(case, own[0].group, name, "neither") for name in names]
        return replace(self, rows=tuple(rows))

    def of_case(self, case: str, metric: str) -> float:
        """Returns the mean of a score over the classes that count in a case; NaN where none does."""
        values = [row.values[metric] for row in self.cases[case] if metric in row.values]
        return math.fsum(values) / len(values) if values else math.nan

    def write(self, directory: Path) -> list[Path]:
        """Writes `scores.csv` and `scores.json` and returns their paths. Raises OSError."""
        metrics = {name: asdict(one) for name, one in self.metrics.items()}
        content = {"format": FORMAT, "metrics": metrics, "rows": [asdict(row) for row in self.rows]}
        write_atomic(directory / CSV, self._csv())
        write_atomic(directory / JSON, json.dumps(content, allow_nan=False) + "\n")
        return [directory / CSV, directory / JSON]

    def _csv(self) -> str:
        sizes = dict.fromkeys(name for row in self.rows for name in row.sizes)
        units = {name: f"{name}_{one.unit}" if one.unit else name for name, one in self.metrics.items()}
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([*_NAMES, *units.values(), *sizes])
        for row in self.rows:
            values = [
                *(row.values.get(name, "") for name in units),
                *(row.sizes.get(name, "") for name in sizes),
            ]
            table.writerow([row.case, row.group, row.name, row.kind, *values])
        return text.getvalue()


def distinct(names: Mapping[int, str]) -> dict[int, str]:
    """Returns names of classes by number, with the number added to those that several classes have."""
    counts = Counter(names.values())
    return {number: name if counts[name] == 1 else f"{name} ({number})" for number, name in names.items()}


def read_scores(path: Path) -> Scores:
    """Returns the table in a `scores.json`, or in the directory that holds one. Raises DataError."""
    file = path / JSON if path.is_dir() else path
    with reading(str(file), "no table of scores"):
        content: dict[str, Any] = json.loads(read_text(file))
        if content.get("format") != FORMAT:
            raise DataError(f"{file}: expected the format {FORMAT}, found {content.get('format')}")
        metrics = {name: Metric(**one) for name, one in content["metrics"].items()}
        return Scores(tuple(Row(**row) for row in content["rows"]), metrics)
