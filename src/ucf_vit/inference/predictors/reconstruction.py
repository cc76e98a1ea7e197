"""Predictions of masked autoencoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ucf_vit.data.batch import Sample
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.outputs import other_files
from ucf_vit.inference.predictors.class_table import Row
from ucf_vit.inference.predictors.outputs import image_of
from ucf_vit.inference.predictors.predictor import Advance
from ucf_vit.inference.predictors.reconstructions import (
    reconstruct,
    reconstruction_files,
    write_reconstruction,
)
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.tasks.masked import MaskedAutoencoding
from ucf_vit.training.saved_runs.open_trained import Trained


class ReconstructionPredictor:
    """Writes what a masked autoencoder makes of an image whose patches are masked."""

    def __init__(self, trained: Trained[MaskedAutoencoding], request: PredictionRequest) -> None:
        self._trained, self._output = trained, request.output

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the files of the reconstruction."""
        return reconstruction_files(case, self._output)

    def is_done(self, case: Case) -> bool:
        """Returns whether all files of an item exist."""
        return all(path.exists() for path in self.written(case))

    def others(self, cases: Sequence[Case]) -> Sequence[str]:
        """Returns the files of other items."""
        return other_files(self._output, (path for case in cases for path in self.written(case)))

    def predict(self, case: Case, sample: Sample, advance: Advance) -> None:
        """Writes the files."""
        image = image_of(self._trained, sample)
        values = reconstruct(self._trained.task, image, sample, case, self._output, advance)
        write_reconstruction(values, self.written(case), case)

    @property
    def rows(self) -> dict[str, Row]:
        """None: every item is written at once."""
        return {}

    def save(self, rows: Mapping[str, Row]) -> None:
        """Does nothing."""
