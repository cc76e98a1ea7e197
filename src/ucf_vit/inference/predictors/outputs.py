"""Outputs of a trained run for one item."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.label_format import geometry_of
from ucf_vit.tasks.classification import Classification
from ucf_vit.training.saved_runs.open_trained import Trained


@contextmanager
def predicting(trained: Trained[Any]) -> Iterator[None]:
    """Context without gradients, in the precision in which a run was trained."""
    dtype = getattr(torch, trained.run.trainer.data_type)
    enabled = dtype != torch.float32
    with torch.inference_mode(), torch.autocast(trained.device.type, dtype, enabled=enabled):
        yield


def image_of(trained: Trained[Any], sample: Sample) -> Tensor:
    """Returns the image of a sample as a batch `[1, C, *S]` on the device of a run."""
    return torch.from_numpy(sample.image)[None].to(trained.device)


def class_probabilities(trained: Trained[Classification], sample: Sample) -> Tensor:
    """Returns the probability of each class of an image, `[K]`. Raises DataError if they are not finite."""
    logits = trained.task.predict_whole(image_of(trained, sample), sample.variables)
    probabilities = logits[0].float().softmax(0)
    if not bool(probabilities.isfinite().all()):
        raise DataError("the prediction is not finite; try --set trainer.data_type=float32")
    return probabilities


def postprocessed(labels: NDArray[Any], case: Case, trained: Trained[Any]) -> NDArray[Any]:
    """Returns labels `[*S]` on the stored grid after the post-processing of a run, if any."""
    if trained.postprocessing is None:
        return labels
    return trained.postprocessing.operations.apply(labels, prod(geometry_of(case).spacing))
