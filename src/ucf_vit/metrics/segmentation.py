"""Scores of each class of a segmented image, see `ucf_vit.metrics.policy`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from ucf_vit.metrics.lesions import match_lesions
from ucf_vit.metrics.policy import ClassScores, kind_of, worst
from ucf_vit.metrics.surface import diagonal, surface_distances
from ucf_vit.metrics.voxels import count_voxels

Labels = NDArray[Any]
TOLERANCE = 1.0
"""Tolerance of the normalised surface distance, in mm."""


def score_case(
    predicted: Labels,
    label: Labels,
    num_classes: int,
    spacing: Sequence[float],
    tolerance: float = TOLERANCE,
) -> list[ClassScores]:
    """Returns the scores of classes 1 to `num_classes` - 1 in one case, in this order.

    Args:
        predicted: class numbers `[*S]` from 0 to `num_classes` - 1.
        label: class numbers `[*S]`; voxels with a negative number are ignored: they count as background in
            both.
        num_classes: number of classes with the background.
        spacing: distance of voxels along each axis, in mm.
        tolerance: tolerance of the normalised surface distance, in mm.
    """
    ignored = label < 0
    if ignored.any():
        predicted, label = np.where(ignored, 0, predicted), np.where(ignored, 0, label)
    ours, theirs = (torch.from_numpy(np.ascontiguousarray(one))[None] for one in (predicted, label))
    voxels = [count[0].tolist() for count in count_voxels(ours, theirs, num_classes)]
    boxes = [find_objects(one, num_classes - 1) for one in (predicted, label)]
    length = diagonal(label.shape, spacing)
    scores = []
    for number, (both, found, there) in enumerate(list(zip(*voxels, strict=True))[1:], start=1):
        kind, sizes = kind_of(there, found), _sizes(found, there, spacing)
        if kind == "both":
            box = _around(boxes[0][number - 1], boxes[1][number - 1])
            masks = predicted[box] == number, label[box] == number
            values = _scores(*masks, both, found, there, spacing, tolerance)
        else:
            values = {} if kind == "neither" else worst(length)
        scores.append(ClassScores(kind, values, {} if kind == "neither" else sizes, length))
    return scores


def _scores(
    predicted: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
    both: int,
    ours: int,
    theirs: int,
    spacing: Sequence[float],
    tolerance: float,
) -> dict[str, float]:
    """Returns the scores of two masks that are not empty, with these numbers of voxels."""
    distances = surface_distances(predicted, labelled, spacing)
    lesions = match_lesions(predicted, labelled)
    return {
        "dice": 2 * both / (ours + theirs),
        "hd95": distances.hausdorff(),
        "nsd": distances.surface_dice(tolerance),
        "volume_error": min(1.0, abs(ours - theirs) / theirs),
        "sensitivity": both / theirs,
        "precision": both / ours,
        "lesion_f1": lesions.f1,
        "panoptic_quality": lesions.panoptic_quality,
    }


def _sizes(ours: int, theirs: int, spacing: Sequence[float]) -> dict[str, float]:
    """Returns the sizes of label and prediction, in mL of volumes and in mm² of 2D images."""
    voxel = prod(spacing)
    name, unit, size = ("volume", "ml", voxel / 1000) if len(spacing) == 3 else ("area", "mm2", voxel)
    return {
        f"{name}_labelled_{unit}": theirs * size,
        f"{name}_predicted_{unit}": ours * size,
        f"{name}_difference_{unit}": (ours - theirs) * size,
        f"{name}_error_{unit}": abs(ours - theirs) * size,
    }


def _around(one: tuple[slice, ...], other: tuple[slice, ...]) -> tuple[slice, ...]:
    """Returns the smallest box that holds both."""
    pairs = zip(one, other, strict=True)
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in pairs)
