"""The box of an image that holds more than background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.geometry.options import Crop
from ucf_vit.data.geometry.regrid import Box

_BINS = 256
_MOST = 2**20
"""Voxels from which a threshold is found; of larger images every n-th counts."""
_TAILS = (0.5, 99.5)
"""Percentiles between which the histogram lies: a few extreme values do not spoil it."""


def foreground_box(image: NDArray[Any], how: Crop) -> Box:
    """Returns (start, stop) along each axis of the smallest box with all foreground of an image `[C, *S]`.

    "nonzero": voxels that are not 0 in some channel; "threshold": voxels above the threshold of Otsu 1979
    ("A threshold selection method from gray-level histograms") of some channel. NaN is background. An image
    without foreground is kept whole.
    """
    inside: NDArray[np.bool_] = np.zeros(image.shape[1:], bool)
    for channel in image if how != "none" else ():
        with np.errstate(invalid="ignore"):
            if how == "nonzero":
                inside |= (channel != 0) & (channel == channel)  # NaN differs from itself
            else:
                inside |= channel > otsu(channel)
    if not inside.any():
        return tuple((0, size) for size in inside.shape)
    box = []
    for axis in range(inside.ndim):
        others = tuple(one for one in range(inside.ndim) if one != axis)
        inside_places = np.flatnonzero(inside.any(axis=others))
        box.append((int(inside_places[0]), int(inside_places[-1]) + 1))
    return tuple(box)


def otsu(values: NDArray[Any]) -> float:
    """Returns the threshold with the largest variance between the values above and below it.

    Where a whole range of thresholds has it, as in the gap between air and a body, it is the middle one.
    """
    some = values.reshape(-1)[:: max(1, values.size // _MOST)]
    some = some[np.isfinite(some)].astype(np.float64)
    if not some.size:
        return 0.0
    low, high = np.percentile(some, _TAILS)
    counts, edges = np.histogram(np.clip(some, low, high), _BINS, (low, high) if low < high else None)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    total, mass = below[-1], np.cumsum(counts * middles)
    above = total - below
    good = (below > 0) & (above > 0)
    means = np.where(good, mass / np.maximum(below, 1) - (mass[-1] - mass) / np.maximum(above, 1), 0)
    variance = below * above * means**2
    best = np.flatnonzero(variance >= variance.max() * (1 - 1e-9))
    return float((edges[1 + best[0]] + edges[1 + best[-1]]) / 2)
