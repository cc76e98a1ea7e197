"""Table of the classes of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ucf_vit.inference.classes import class_names
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.predict_item import Predicted
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.inference.writers.class_table import FILE, ClassTable, Row
from ucf_vit.tasks.classification import Classification
from ucf_vit.training.saved_runs.open_trained import Trained


class ClassificationWriter:
    """Completes a table of classes."""

    def __init__(self, trained: Trained[Classification], request: PredictionRequest, is_main: bool) -> None:
        self._is_main = is_main
        self._table = ClassTable(request.output / FILE, class_names(trained))

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the table."""
        return [self._table.path]

    def is_done(self, case: Case) -> bool:
        """Returns whether the table has a row of the item."""
        return case.item.key in self._table

    def others(self, cases: Sequence[Case]) -> Sequence[str]:
        """Returns the rows of other items."""
        return self._table.others([case.item.key for case in cases])

    def write(self, case: Case, predicted: Predicted) -> None:
        """Adds a row."""
        assert predicted.probabilities is not None
        self._table.add(case.item.key, predicted.probabilities.tolist())
        if self._is_main:
            self._table.save_sometimes()

    @property
    def rows(self) -> dict[str, Row]:
        """The new rows of the table."""
        return self._table.new

    def save(self, rows: Mapping[str, Row]) -> None:
        """Writes the table with the new rows of all processes."""
        self._table.new = dict(rows)
        self._table.save()
