"""Numbers of voxels of each class in label, prediction and both: all that Dice needs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

AT_ONCE = 2**24
"""Number of voxels that are counted at once, which bounds the memory."""


class Voxels(NamedTuple):
    """Numbers of voxels int64 `[..., K]`: in prediction and label, in the prediction, in the label."""

    both: Tensor
    predicted: Tensor
    labelled: Tensor

    def dice(self) -> Tensor:
        """Returns 2 |P and L| / (|P| + |L|) float64 `[..., K]`: 0 where one of them is empty, or both are."""
        return 2 * self.both.double() / (self.predicted + self.labelled).clamp_min(1)


def count_voxels(predicted: Tensor, label: Tensor, num_classes: int) -> Voxels:
    """Returns the numbers `[B, K]` of voxels of class maps `[B, *S]` with values below `num_classes`.

    Voxels with a negative label are ignored: they are counted as correct background.
    """
    total = torch.zeros(len(label), num_classes**2, dtype=torch.int64, device=label.device)
    pairs_of = zip(predicted.flatten(1).split(AT_ONCE, 1), label.flatten(1).split(AT_ONCE, 1), strict=True)
    for some, true in pairs_of:
        pairs = (true.long() * num_classes + some.long()).masked_fill(true < 0, 0)
        total += torch.stack([row.bincount(minlength=num_classes**2) for row in pairs])
    confusion = total.unflatten(1, (num_classes, num_classes)).cpu()
    return Voxels(confusion.diagonal(dim1=1, dim2=2), confusion.sum(dim=1), confusion.sum(dim=2))
