"""Classified cases: their probabilities, scores of all together, and the table of cases."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.evaluation.cases.table import ALL, CSV, FORMAT, JSON
from ucf_vit.metrics.classification import OVERALL, confusion, overall, per_class
from ucf_vit.metrics.policy import Metric
from ucf_vit.metrics.statistics.bootstrap import statistic_intervals
from ucf_vit.training.evaluation_files import Summary

_WORK = 3e8
"""Number of cases x classes x drawn studies up to which as many studies as wanted are drawn."""


def affordable(size: int) -> int:
    """Returns the number of drawn studies, or exchanges, for scores of cases x classes of that `size`."""
    return int(min(1000, max(200, _WORK / size)))


@dataclass(frozen=True)
class ClassifiedCase:
    """One image: its class, and the probabilities `[K]` float32 of all classes.

    `broken` says that the network's output was not finite; the probability of the right class is 0 then.
    """

    case: str
    group: str
    label: int
    probabilities: NDArray[np.float32]
    broken: bool = False

    @property
    def right(self) -> bool:
        """Whether the class with the largest probability is the right one."""
        return int(self.probabilities.argmax()) == self.label

    @classmethod
    def of(cls, case: str, group: str, label: int, probabilities: NDArray[Any]) -> ClassifiedCase:
        """Returns the case; probabilities that are not finite count as those of any other class."""
        if np.isfinite(probabilities).all():
            return cls(case, group, label, probabilities.astype(np.float32))
        others = np.full(len(probabilities), 1 / max(1, len(probabilities) - 1), np.float32)
        others[label] = 0
        return cls(case, group, label, others, True)


@dataclass(frozen=True)
class ClassifiedCases:
    """All cases, in the order of their names; `names` are those of the classes, by number."""

    cases: tuple[ClassifiedCase, ...]
    names: tuple[str, ...]

    @property
    def metrics(self) -> dict[str, Metric]:
        """The scores of all cases together."""
        return dict(OVERALL)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers `[N]`."""
        return np.array([one.label for one in self.cases], np.int64)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities `[N, K]`."""
        return np.stack([one.probabilities for one in self.cases])

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Numbers of cases `[K, K]` by label (rows) and prediction (columns)."""
        return confusion(self.labels, self.probabilities.argmax(axis=1), self.probabilities.shape[1])

    @cached_property
    def by_case(self) -> dict[str, ClassifiedCase]:
        """The cases by name."""
        return {one.case: one for one in self.cases}

    @property
    def all_names(self) -> tuple[str, ...]:
        """Names of all classes, or their numbers."""
        return tuple(map(self.name, range(self.probabilities.shape[1])))

    def name(self, number: int) -> str:
        """Returns the name of a class, or its number."""
        return self.names[number] if number < len(self.names) else str(number)

    def summary(self) -> dict[str, dict[str, Summary]]:
        """Returns the scores of all cases together, with 95 % intervals."""
        groups = {
            group: number for number, group in enumerate(dict.fromkeys(one.group for one in self.cases))
        }
        numbers = np.array([groups[one.group] for one in self.cases])
        values = overall(self.labels, self.probabilities)

        def statistics(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            drawn = overall(self.labels[rows], self.probabilities[rows])
            return np.array([drawn.get(name, np.nan) for name in values])

        limits = [OVERALL[name].limits for name in values]
        intervals = statistic_intervals(statistics, numbers, limits, affordable(self.probabilities.size))
        summary: dict[str, dict[str, Summary]] = {ALL: {}}
        for (name, value), interval in zip(values.items(), intervals, strict=True):
            low, high = interval or (None, None)
            summary[ALL][name] = Summary(value, value, low, high, len(self.cases), len(groups))
        return summary

    def summary_of_classes(self) -> dict[str, dict[str, float]]:
        """Returns the scores of each class by its name."""
        scores = per_class(self.labels, self.probabilities)
        return {self.name(number): values for number, values in enumerate(scores)}

    def write(self, directory: Path) -> list[Path]:
        """Writes `scores.csv` and `scores.json` and returns their paths. Raises OSError."""
        names = [self.name(number) for number in range(self.probabilities.shape[1])]
        rows = [
            {
                "case": one.case,
                "group": one.group,
                "class": self.name(one.label),
                "predicted": names[int(one.probabilities.argmax())],
                "correct": int(one.right),
                **{
                    f"p({name})": round(float(p), 6) for name, p in zip(names, one.probabilities, strict=True)
                },
            }
            for one in self.cases
        ]
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_atomic(directory / CSV, text.getvalue())
        content = {"format": f"{FORMAT}.classification", "classes": names, "rows": rows}
        write_atomic(directory / JSON, json.dumps(content, allow_nan=False) + "\n")
        return [directory / CSV, directory / JSON]
