"""Interface of the predictions of one kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ucf_vit.data.batch import Sample
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.predictors.class_table import Row

Advance = Callable[[int], None]
"""Function that is called with a number of voxels whose prediction is done."""


class Predictor(Protocol):
    """Predicts items one by one and writes the predictions."""

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the files that are written for an item."""
        ...

    def is_done(self, case: Case) -> bool:
        """Returns whether the prediction of an item exists."""
        ...

    def others(self, cases: Sequence[Case]) -> Sequence[str]:
        """Returns the names of predictions in the output directory that are not those of `cases`."""
        ...

    def predict(self, case: Case, sample: Sample, advance: Advance) -> None:
        """Predicts and writes an item, read as `sample`. Raises DataError."""
        ...

    @property
    def rows(self) -> dict[str, Row]:
        """Results of this process that are in no file of their own, by item."""
        ...

    def save(self, rows: Mapping[str, Row]) -> None:
        """Writes the results of all processes that are in no file of their own; called on one of them."""
        ...
