"""Files of segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ucf_vit.inference.classes import class_names
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files import PROBABILITIES, format_of, label_classes, write_probabilities
from ucf_vit.inference.predict_item import Predicted
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.inference.writers.writer import FileWriter
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.training.saved_runs.open_trained import Trained


class SegmentationWriter(FileWriter):
    """Writes class numbers of every voxel, and probabilities on request."""

    def __init__(self, trained: Trained[Segmentation], request: PredictionRequest) -> None:
        super().__init__(request.output)
        self._classes = label_classes(class_names(trained))
        self._request = request

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the file of the labels, and that of the probabilities where they are requested."""
        labels = format_of(case, self._request.format).suffix(case)
        suffixes = [labels, *([PROBABILITIES] if self._request.probabilities else [])]
        return [self._output / f"{case.name}{suffix}" for suffix in suffixes]

    def write(self, case: Case, predicted: Predicted) -> None:
        """Writes the labels last: where they exist, everything of the item does."""
        assert predicted.labels is not None
        labels, *others = self.written(case)
        if predicted.probabilities is not None:
            write_probabilities(others[0], predicted.probabilities)
        format_of(case, self._request.format).write(labels, predicted.labels, case, self._classes)
