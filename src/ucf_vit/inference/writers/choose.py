"""The writer of the predictions of a run."""

from __future__ import annotations

from typing import Any, cast

from ucf_vit.core.errors import UserError
from ucf_vit.inference.predict_item import check_predicts
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.inference.writers.classification import ClassificationWriter
from ucf_vit.inference.writers.reconstruction import ReconstructionWriter
from ucf_vit.inference.writers.segmentation import SegmentationWriter
from ucf_vit.inference.writers.writer import Writer
from ucf_vit.tasks.classification import Classification
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.training.saved_runs.open_trained import Trained


def writer_of(trained: Trained[Any], request: PredictionRequest, is_main: bool = True) -> Writer:
    """Returns the writer of the task of a run; only that of the main process writes what all share.

    Raises UserError for a task without predictions, and for a request that it can't fulfil.
    """
    if isinstance(trained.task, Segmentation):
        return SegmentationWriter(cast(Trained[Segmentation], trained), request)
    if request.probabilities:
        raise UserError("--probabilities are those of segmentations; a table of classes always has them")
    if request.format:
        raise UserError(f"--format {request.format} is that of segmentations; task is {trained.run.task}")
    check_predicts(trained)
    if isinstance(trained.task, Classification):
        return ClassificationWriter(cast(Trained[Classification], trained), request, is_main)
    return ReconstructionWriter(request.output)
