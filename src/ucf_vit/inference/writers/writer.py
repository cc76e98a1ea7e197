"""Interface of the files of predictions of one kind of task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ucf_vit.inference.inputs import Case
from ucf_vit.inference.outputs import other_files
from ucf_vit.inference.predict_item import Predicted
from ucf_vit.inference.writers.class_table import Row


class Writer(Protocol):
    """Writes predictions of items, one by one."""

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the files that are written for an item."""
        ...

    def is_done(self, case: Case) -> bool:
        """Returns whether the prediction of an item exists."""
        ...

    def others(self, cases: Sequence[Case]) -> Sequence[str]:
        """Returns the names of predictions in the output directory that are not those of `cases`."""
        ...

    def write(self, case: Case, predicted: Predicted) -> None:
        """Writes the prediction for an item. Raises DataError."""
        ...

    @property
    def rows(self) -> dict[str, Row]:
        """Results of this process that are in no file of their own, by item."""
        ...

    def save(self, rows: Mapping[str, Row]) -> None:
        """Writes the results of all processes that are in no file of their own; called on one of them."""
        ...


class FileWriter:
    """Base of writers that write all results of an item to files of its own."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the files that are written for an item."""
        raise NotImplementedError

    def is_done(self, case: Case) -> bool:
        """Returns whether all files of an item exist."""
        return all(path.exists() for path in self.written(case))

    def others(self, cases: Sequence[Case]) -> Sequence[str]:
        """Returns the files of other items."""
        return other_files(self._output, (path for case in cases for path in self.written(case)))

    @property
    def rows(self) -> dict[str, Row]:
        """None: every item is written at once."""
        return {}

    def save(self, rows: Mapping[str, Row]) -> None:
        """Does nothing."""
