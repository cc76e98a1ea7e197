"""Dice score of whole items, with the same definition for models and baselines, see `ucf_vit.metrics`."""

from __future__ import annotations

import torch
from torch import Tensor

from ucf_vit.metrics.voxels import Voxels, count_voxels

DEFINITION = (
    "Dice of a class in an item is 2 |P and L| / (|P| + |L|), with the predicted voxels P and the labelled "
    "voxels L: 0 for a class that is missed, and 0 for a class that is predicted but not in the label. "
    "An item with the class neither in its label nor in its prediction does not count. The Dice of a class "
    "is the mean over the items that count for it, Dice is the mean of these over all classes except the "
    "background. It has no value if no label has any of them."
)
COLUMNS = ("sum", "labelled", "missed", "only predicted", "neither")
"""Columns of totals: the sum of Dice over items, and numbers of items; "missed" items are "labelled" too."""


def empty_totals(num_classes: int) -> Tensor:
    """Returns the totals `[K - 1, 5]` of no item, float64; see `COLUMNS`."""
    return torch.zeros(num_classes - 1, len(COLUMNS), dtype=torch.float64)


def totals_of(voxels: Voxels) -> Tensor:
    """Returns the totals `[..., 5]` of items `[B, ...]` from their numbers of voxels."""
    in_label, in_prediction = voxels.labelled > 0, voxels.predicted > 0
    missed, only_predicted = in_label & ~in_prediction, in_prediction & ~in_label
    counts = (in_label, missed, only_predicted, ~in_label & ~in_prediction)
    return torch.stack([voxels.dice().sum(0), *(count.sum(0).double() for count in counts)], dim=-1)


def totals_of_labels(predicted: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Returns the totals `[K - 1, 5]` of class maps `[B, *S]` int64 with values below `num_classes`.

    Voxels with a negative label are ignored: they are counted as correct background, which no total includes.
    """
    return totals_of(count_voxels(predicted, label, num_classes))[1:]


def means(totals: Tensor) -> dict[str, float]:
    """Returns `dice`, `dice_1` and so on, see `DEFINITION`; NaN for a score without a value."""
    counted = totals[:, 1] + totals[:, 3]
    per_class = totals[:, 0] / counted
    mean = per_class[counted > 0].mean() if totals[:, 1].any() else per_class.new_tensor(torch.nan)
    return {"dice": float(mean), **{f"dice_{k}": float(value) for k, value in enumerate(per_class, start=1)}}


def counts(totals: Tensor) -> dict[str, dict[str, int]]:
    """Returns numbers of items by class (`dice_1`, ...) and kind (`COLUMNS`)."""
    return {
        f"dice_{k}": {kind: int(value) for kind, value in zip(COLUMNS[1:], row[1:], strict=True)}
        for k, row in enumerate(totals.tolist(), start=1)
    }
