"""Scores of separate lesions: connected components that are found, missed or made up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

Mask = NDArray[np.bool_]
OVERLAP = 0.5
"""IoU above which two components match. No component can have two matches above one half."""


class Lesions(NamedTuple):
    """Numbers of lesions that are found, missed and made up, and the sum of the IoU of those found."""

    found: int
    missed: int
    made_up: int
    overlap: float

    @property
    def f1(self) -> float:
        """F1 score of the lesions."""
        return self.found / self._size

    @property
    def panoptic_quality(self) -> float:
        """Sum of the IoU of found lesions / (found + missed / 2 + made up / 2), Kirillov et al. 2019."""
        return self.overlap / self._size

    @property
    def _size(self) -> float:
        return self.found + self.missed / 2 + self.made_up / 2


def match_lesions(predicted: Mask, labelled: Mask) -> Lesions:
    """Returns how the components of two masks `[*S]` match; at least one of the masks is not empty.

    Voxels that touch with a face, an edge or a corner are connected. A component of the label is found if
    its IoU with one of the prediction is above `OVERLAP`.
    """
    everywhere = generate_binary_structure(labelled.ndim, labelled.ndim)
    ours, number = label(predicted, everywhere)
    theirs, total = label(labelled, everywhere)
    met = predicted & labelled
    pairs, common = np.unique(ours[met].astype(np.int64) * (total + 1) + theirs[met], return_counts=True)
    sizes, true_sizes = np.bincount(ours.ravel()), np.bincount(theirs.ravel())
    union = sizes[pairs // (total + 1)] + true_sizes[pairs % (total + 1)] - common
    overlaps = (common / union)[common > OVERLAP * union]
    found = len(overlaps)
    return Lesions(found, total - found, number - found, float(overlaps.sum()))
