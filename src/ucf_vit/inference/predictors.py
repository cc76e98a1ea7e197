"""Predictions of each kind of task: what is written for an item, and how it is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Sample
from ucf_vit.inference.class_table import FILE, ClassTable, Row
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files import PROBABILITIES, format_of, label_classes, write_probabilities
from ucf_vit.inference.label_files.label_format import geometry_of
from ucf_vit.inference.reconstructions import reconstruct, reconstruction_files, write_reconstruction
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.inference.segment import segment
from ucf_vit.tasks.classification import Classification
from ucf_vit.tasks.masked import MaskedAutoencoding
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.training.saved_runs.open_trained import Trained

CLASSES = "classes.json"
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


class ClassificationPredictor:
    """Completes a table of classes."""

    def __init__(self, trained: Trained[Classification], request: PredictionRequest, is_main: bool) -> None:
        self._trained, self._is_main = trained, is_main
        self._table = ClassTable(request.output / FILE, class_names(trained))

    def written(self, case: Case) -> Sequence[Path]:
        """Returns the table."""
        return [self._table.path]

    def is_done(self, case: Case) -> bool:
        """Returns whether the table has a row of the item."""
        return case.item.key in self._table

    def predict(self, case: Case, sample: Sample, advance: Advance) -> None:
        """Adds a row."""
        self._table.add(case.item.key, class_probabilities(self._trained, sample).tolist())
        if self._is_main:
            self._table.save_sometimes()
        advance(prod(case.shape))

    @property
    def rows(self) -> dict[str, Row]:
        """The new rows of the table."""
        return self._table.new

    def save(self, rows: Mapping[str, Row]) -> None:
        """Writes the table with the new rows of all processes."""
        self._table.new = dict(rows)
        self._table.save()


def class_names(trained: Trained[Any]) -> list[str]:
    """Returns the name of each class, a number where it has none."""
    record = trained.record
    names: Mapping[int, str] = dict(enumerate(record.class_names)) or record.label_names
    return [names.get(number, str(number)) for number in range(trained.run.num_classes)]


def classes_json(trained: Trained[Any]) -> str:
    """Returns number, name and colour of each class as JSON."""
    classes = [
        {"number": number, "name": one.name, "colour": _hex(one.colour)}
        for number, one in enumerate(label_classes(class_names(trained)))
    ]
    return json.dumps(classes, indent=1, ensure_ascii=False) + "\n"


def _hex(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
