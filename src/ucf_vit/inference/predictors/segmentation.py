"""Predictions of segmentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ucf_vit.data.batch import Sample
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files import PROBABILITIES, format_of, label_classes, write_probabilities
from ucf_vit.inference.outputs import other_files
from ucf_vit.inference.predictors.class_table import Row
from ucf_vit.inference.predictors.classes import class_names
from ucf_vit.inference.predictors.outputs import image_of, postprocessed
from ucf_vit.inference.predictors.predictor import Advance
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.inference.segment import segment
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.training.saved_runs.open_trained import Trained


class SegmentationPredictor:
    """Writes class numbers of every voxel, and probabilities on request."""

    def __init__(self, trained: Trained[Segmentation], request: PredictionRequest) -> None:
        self._trained, self._request = trained, request

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the file of the labels, and that of the probabilities where they are requested."""
        labels = format_of(case, self._request.format).suffix(case)
        suffixes = [labels, *([PROBABILITIES] if self._request.probabilities else [])]
        return [self._request.output / f"{case.name}{suffix}" for suffix in suffixes]

    def is_done(self, case: Case) -> bool:
        """Returns whether all files of an item exist."""
        return all(path.exists() for path in self.written(case))

    def others(self, cases: Sequence[Case]) -> Sequence[str]:
        """Returns the files of other items."""
        return other_files(self._request.output, (path for case in cases for path in self.written(case)))

    def predict(self, case: Case, sample: Sample, advance: Advance) -> None:
        """Writes the labels last: where they exist, everything of the item does."""
        found = segment(
            self._trained.task,
            image_of(self._trained, sample),
            sample.variables,
            case.grid,
            self._request.output,
            probabilities=self._request.probabilities,
            advance=advance,
        )
        labels, *others = self.written(case)
        if found.probabilities is not None:
            write_probabilities(others[0], found.probabilities)
        classes = label_classes(class_names(self._trained))
        values = postprocessed(found.labels, case, self._trained)
        format_of(case, self._request.format).write(labels, values, case, classes)

    @property
    def rows(self) -> dict[str, Row]:
        """None: every item is written at once."""
        return {}

    def save(self, rows: Mapping[str, Row]) -> None:
        """Does nothing."""
