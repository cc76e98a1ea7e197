"""Prediction for one item by a trained run, in memory: as the command writes it, and Python returns it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Sample
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.label_format import geometry_of
from ucf_vit.inference.reconstruct import reconstruct
from ucf_vit.inference.segment import segment
from ucf_vit.tasks.classification import Classification
from ucf_vit.tasks.ensemble import for_dataset
from ucf_vit.tasks.masked import MaskedAutoencoding
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.tasks.task import Task
from ucf_vit.training.saved_runs.open_trained import Trained

Advance: TypeAlias = Callable[[int], None]
"""Function that is called with a number of voxels whose prediction is done."""


@dataclass(frozen=True)
class Predicted:
    """Prediction for an item on the grid on which it is stored; None where its task predicts something else.

    Attributes:
        labels: class numbers `[*S]` of a segmentation, after the post-processing.
        probabilities: `[K]` of a classification; `[K, *S]` float16 of a segmentation where requested.
        values: reconstruction `[*S]` float32 of each variable, in stored values, of a masked autoencoder.
    """

    labels: NDArray[Any] | None = None
    probabilities: NDArray[Any] | None = None
    values: Mapping[str, NDArray[np.float32]] | None = None


def check_predicts(trained: Trained[Any]) -> None:
    """Raises UserError for a run whose task makes no predictions of this kind."""
    if not isinstance(trained.task, Segmentation | Classification | MaskedAutoencoding):
        raise UserError(
            f"{trained.directory} is of task {trained.run.task}; predictions are made by models of task "
            "segmentation, token_segmentation, classification and masked; images of a diffusion model by "
            "ucf-vit sample"
        )


def predict_item(
    trained: Trained[Any],
    case: Case,
    directory: Path,
    *,
    probabilities: bool = False,
    advance: Advance = lambda voxels: None,
) -> Predicted:
    """Reads and predicts an item; temporary files are in `directory`. Raises DataError."""
    task = for_dataset(trained.task, case.dataset.name)
    with _predicting(trained):
        sample = case.read()
        image = image_of(trained, sample)
        if isinstance(task, MaskedAutoencoding):
            return Predicted(values=reconstruct(task, image, sample, case, directory, advance))
        if isinstance(task, Classification):
            found = _class_probabilities(task, image, sample)
            advance(prod(case.shape))
            return Predicted(probabilities=found)
        options: dict[str, Any] = {"probabilities": probabilities, "advance": advance}
        segmented = segment(task, image, sample.variables, case.grid, directory, **options)
    labels = _postprocessed(segmented.labels, case, trained)
    return Predicted(labels=labels, probabilities=segmented.probabilities)


def image_of(trained: Trained[Any], sample: Sample) -> Tensor:
    """Returns the image of a sample as a batch `[1, C, *S]` on the device of a run."""
    return torch.from_numpy(sample.image)[None].to(trained.device)


@contextmanager
def _predicting(trained: Trained[Any]) -> Iterator[None]:
    """Context without gradients, in the precision in which a run was trained."""
    dtype = getattr(torch, trained.run.trainer.data_type)
    enabled = dtype != torch.float32
    with torch.inference_mode(), torch.autocast(trained.device.type, dtype, enabled=enabled):
        yield


def _class_probabilities(task: Task, image: Tensor, sample: Sample) -> NDArray[Any]:
    """Returns the probability of each class of an image, `[K]`. Raises DataError if they are not finite."""
    probabilities = task.predict_whole(image, sample.variables)[0].float().softmax(0)
    if not bool(probabilities.isfinite().all()):
        raise DataError("the prediction is not finite; try --set trainer.data_type=float32")
    array: NDArray[Any] = probabilities.cpu().numpy()
    return array


def _postprocessed(labels: NDArray[Any], case: Case, trained: Trained[Any]) -> NDArray[Any]:
    """Returns labels `[*S]` on the stored grid after the post-processing of a run, if any."""
    if trained.postprocessing is None:
        return labels
    return trained.postprocessing.operations.apply(labels, prod(geometry_of(case).spacing))
