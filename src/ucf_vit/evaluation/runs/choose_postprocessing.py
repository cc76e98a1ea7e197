"""Choice of the post-processing of a segmentation, by the Dice of validation items."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ucf_vit.core.errors import UserError
from ucf_vit.data.batch import Batch
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.sources import Source
from ucf_vit.data.sources.regridded import Regridded
from ucf_vit.evaluation.runs.request import EvaluationRequest
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks.ensemble import for_dataset
from ucf_vit.tasks.postprocessing import ClassOptions, Components, Postprocessing
from ucf_vit.tasks.segmentation import Segmentation
from ucf_vit.training.inputs.run_data import HeldOut
from ucf_vit.training.postprocessing_file import Chosen
from ucf_vit.training.saved_runs.open_trained import Trained

log = logging.getLogger(__name__)
VOLUMES = (10.0, 100.0, 1000.0)
"""Smallest volumes of components that are tried, in mm^3."""
CHOICES = tuple(
    ClassOptions(largest, volume, fill)
    for (largest, volume), fill in itertools.product(
        [(False, 0.0), (True, 0.0), *((False, volume) for volume in VOLUMES)], (False, True)
    )
)
"""Combinations that are tried; the first one changes nothing."""


def set_postprocessing(
    trained: Trained[Any], data: HeldOut, world: World, request: EvaluationRequest
) -> list[str]:
    """Sets the post-processing of the task, chosen on `data` where that is requested; returns notes on it.

    A choice is written into the directory of the run. Raises UserError where none can be made.
    """
    task, chosen, names = trained.task, trained.postprocessing, trained.record.label_names
    if request.choose_postprocessing:
        if not isinstance(task, Segmentation) or request.split != "validation" or request.roots:
            raise UserError("--choose-postprocessing is for segmentation, on the validation items of a run")
        dtype = getattr(torch, trained.run.trainer.data_type)
        chosen = choose(task, data.batches(), data.datasets, world, dtype, trained.step)
        written = chosen
        path = world.on_main(lambda: written.write(trained.directory.parent))
        log.info("post-processing: %s; written to %s", written.in_words(names), path)
    if chosen is None or not isinstance(task, Segmentation) or not request.postprocess:
        return []
    task.postprocess = postprocess_of(chosen, data.datasets)
    notes = [f"Predictions are post-processed: {chosen.in_words(names)}."]
    if request.split == "validation" and not request.roots:
        notes.append("These items chose the post-processing, so expect somewhat worse results on others.")
    if chosen.step != trained.step:
        notes.append(f"Post-processing was chosen for other weights, of step {chosen.step:,}.")
    return notes


def choose(
    task: Segmentation,
    batches: Iterable[Batch],
    datasets: Sequence[Dataset],
    world: World,
    dtype: torch.dtype,
    step: int,
) -> Chosen:
    """Returns, for each class, the operations with the largest mean Dice over whole items.

    Items are predicted and compared as in an evaluation, on the grid on which they are stored; a class that
    is in neither label nor prediction of an item does not count there. Operations that do not raise the mean
    are not chosen. Collective.
    """
    totals = np.zeros((task.num_classes, len(CHOICES), 2))
    volume_of = voxel_volumes(datasets)
    with torch.no_grad(), torch.autocast(world.device.type, dtype, enabled=dtype != torch.float32):
        for batch in batches:
            moved = batch.to(world.device)
            logits = for_dataset(task, batch.dataset).predict_whole(moved.image, moved.variables)
            predicted, true = task.classes_of(moved, logits)
            totals += _dice(predicted[0].cpu().numpy(), true[0].cpu().numpy(), volume_of(batch), len(totals))
    totals = world.sum(torch.from_numpy(totals)).cpu().numpy()
    chosen: dict[int, ClassOptions] = {}
    figures: dict[str, Any] = {}
    for number in range(1, len(totals)):
        sums, counts = totals[number].T
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        best = 0 if np.isnan(means[0]) else int(np.nanargmax(means))
        if means[best] > means[0]:
            chosen[number] = CHOICES[best]
        tried = {str(one): _number(mean) for one, mean in zip(CHOICES, means, strict=True)}
        figures[f"dice_{number}"] = {
            "without": _number(means[0]),
            "with": _number(means[best]),
            "tried": tried,
        }
    return Chosen(Postprocessing(chosen), step, figures)


def postprocess_of(
    chosen: Chosen, datasets: Sequence[Dataset]
) -> Callable[[NDArray[Any], Batch], NDArray[Any]]:
    """Returns the function that changes the labels `[*S]` of the item in a batch."""
    volume_of = voxel_volumes(datasets)
    return lambda labels, batch: chosen.operations.apply(labels, volume_of(batch))


def voxel_volumes(datasets: Sequence[Dataset]) -> Callable[[Batch], float]:
    """Returns the function that gives the volume of a stored voxel of a batch's item; 1: not known."""
    by_name = {one.name: one for one in datasets}

    def volume(batch: Batch) -> float:
        dataset = by_name[batch.dataset]
        source: Source = dataset.source
        inner = source.inner if isinstance(source, Regridded) else source
        geometry = inner.geometry(dataset.items[batch.items[0]])
        return 1.0 if geometry is None else float(np.prod(geometry.spacing))

    return volume


def _dice(labels: NDArray[Any], true: NDArray[Any], voxel: float, classes: int) -> NDArray[np.float64]:
    """Returns Dice and whether it counts, `[K, choices, 2]`, of each class with each choice."""
    found = np.zeros((classes, len(CHOICES), 2))
    labels = labels.astype(np.int32)
    boxes = ndimage.find_objects(labels, classes - 1)
    for number in range(1, classes):
        box, labelled = boxes[number - 1], int((true == number).sum())
        if box is None:
            found[number, :, 1] = labelled > 0
            continue
        part, target = labels[box], true[box]
        mask = part == number
        components = Components(mask)
        for place, options in enumerate(CHOICES):
            kept = components.kept(options, voxel)
            if options.fill_holes:
                kept = ndimage.binary_fill_holes(kept) & (mask | (part == 0))
            kept &= target >= 0
            both, size = int((kept & (target == number)).sum()), int(kept.sum()) + labelled
            found[number, place] = 2 * both / max(size, 1), size > 0
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
