"""The predictor of the task of a run."""

from __future__ import annotations

from typing import Any, cast

from ucf_vit.core.errors import UserError
from ucf_vit.inference.predictors.classification import ClassificationPredictor
from ucf_vit.inference.predictors.predictor import Predictor
from ucf_vit.inference.predictors.reconstruction import ReconstructionPredictor
from ucf_vit.inference.predictors.segmentation import SegmentationPredictor
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.tasks.classification import Classification
from ucf_vit.tasks.masked import MaskedAutoencoding
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.training.saved_runs.open_trained import Trained


def predictor_of(trained: Trained[Any], request: PredictionRequest, is_main: bool = True) -> Predictor:
    """Returns the predictor of the task of a run; only that of the main process writes what all share.

    Raises UserError for a task that predicts no classes.
    """
    if isinstance(trained.task, Segmentation):
        return SegmentationPredictor(cast(Trained[Segmentation], trained), request)
    if request.probabilities:
        raise UserError("--probabilities are those of segmentations; a table of classes always has them")
    if request.format:
        raise UserError(f"--format {request.format} is that of segmentations; task is {trained.run.task}")
    if isinstance(trained.task, Classification):
        return ClassificationPredictor(cast(Trained[Classification], trained), request, is_main)
    if isinstance(trained.task, MaskedAutoencoding):
        return ReconstructionPredictor(cast(Trained[MaskedAutoencoding], trained), request)
    raise UserError(
        f"{trained.directory} is of task {trained.run.task}; predictions are made by models of task "
        "segmentation, token_segmentation, classification and masked; images of a diffusion model by "
        "ucf-vit sample"
    )
