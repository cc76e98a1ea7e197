"""Baseline of segmentation: intensity intervals fitted to the training items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch, Sample
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.geometry.undo import values_to_original
from ucf_vit.data.loader.whole_items import volumes
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.tasks.task import Task
from ucf_vit.tasks.threshold_baseline import fit_threshold
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.datasets import build_datasets


def check_segmentation(task: Task, name: str) -> None:
    """Raises UserError if `task`, called `name`, is not a segmentation."""
    if not isinstance(task, Segmentation):
        raise UserError(f"--threshold is for segmentation, not for task {name}")


def threshold_totals(run: Run, record: Record, datasets: Sequence[Dataset]) -> Tensor:
    """Returns the totals of the Dice on `datasets` of intervals fitted to the training items."""
    training = build_datasets(run, Scratch(), record=record)
    held_out = volumes(datasets, original=True)
    return fit_threshold(_samples(volumes(training)), run.num_classes).totals(_samples(held_out))


def _samples(batches: Iterator[Batch]) -> Iterator[Sample]:
    """Yields image and label of each item, on the grid on which it is stored where the batch has its label.

    There the image is NaN, which is in no interval, where it was cropped.
    """
    for batch in batches:
        if batch.original is not None:
            image = values_to_original(batch.image[0].numpy(), batch.original.grid, np.nan)
            yield Sample(image, batch.original.label[0].numpy(), batch.variables, batch.files[0])
            continue
        label = None if batch.label is None else batch.label[0].numpy()
        yield Sample(batch.image[0].numpy(), label, batch.variables, batch.files[0])
