"""Signature of local patterns: hashes of the neighbourhoods of local maxima in the middle of an image.

It survives cropping: a part of an image has the same neighbourhoods. The order of the neighbours by value is
hashed, each replaced by its class under flips and exchanges of axes, so that neither these nor any rising
function of the intensity changes a hash.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from numpy.typing import NDArray

KEPT = 6
"""Number of hashes in a signature."""
REACH = 3
"""Neighbours are up to this far away along each axis."""
SHELLS = {2: (1, 2, 3), 3: (1, 3)}
"""Distances of neighbours along their longest axis, by number of axes."""
CROP = 0.7
"""Crops down to this share of each side keep the middle that hashes are taken from."""
WINDOW = (0.15, 0.9)
"""Quantiles of the intensities that windows usually leave distinct."""
DISTINCT = 0.75
"""Share of neighbours that have different values; less are patterns that any image may have."""
Hashes = NDArray[np.uint32]


@cache
def _neighbours(dims: int) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Returns offsets `[K, d]`, sorted by class, and the class of each, `[K]`."""
    neighbours: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for offset in itertools.product(range(-REACH, REACH + 1), repeat=dims):
        size = tuple(sorted(map(abs, offset)))
        whole = dims == 2 or all(step in (0, size[-1]) for step in size)
        if size[-1] in SHELLS[dims] and whole:
            neighbours.append((size, offset))
    classes = {size: number for number, size in enumerate(sorted({size for size, _ in neighbours}))}
    neighbours.sort()
    return (
        np.array([offset for _, offset in neighbours], np.intp),
        np.array([classes[size] for size, _ in neighbours], np.uint64),
    )


def hashes(image: NDArray[np.generic]) -> tuple[Hashes, NDArray[np.float32]]:
    """Returns hashes `[M]` of the local extrema of an image `[C, *S]`, and how easily each is lost, `[M]`.

    That is 0 for those that any crop down to `CROP` of each side contains with their neighbours, and that
    usual windows leave as they are; below 1 for others in the middle.
    """
    all_hashes, costs = [np.zeros(0, np.uint32)], [np.zeros(0, np.float32)]
    for channel in image:
        values = np.asarray(channel, np.float32)
        step = slice(None, None, 1 + min(values.shape) // 64)
        some = values[(step,) * values.ndim]
        some = some[np.isfinite(some)]
        low, high = np.quantile(some, WINDOW) if some.size else (0.0, 0.0)
        for sign, limits in ((1, (low, high)), (-1, (-high, -low))):
            one, cost = _of_maxima(sign * values, *limits)
            all_hashes.append(one)
            costs.append(cost)
    return np.concatenate(all_hashes), np.concatenate(costs)


def _of_maxima(values: NDArray[np.float32], low: float, high: float) -> tuple[Hashes, NDArray[np.float32]]:
    places = _maxima(values)
    offsets, classes = _neighbours(values.ndim)
    around = np.stack([values[tuple((places + offset).T)] for offset in offsets], 1)
    order = np.argsort(-around, axis=1, kind="stable")
    ordered = np.take_along_axis(around, order, 1)
    distinct = 1 + (np.diff(ordered, axis=1) != 0).sum(1)
    good = (distinct >= DISTINCT * len(offsets)) & np.isfinite(around).all(1)
    order, places = order[good], places[good]
    clipped = (values[tuple(places.T)] >= high) | (ordered[good, -1] <= low)
    factors = np.random.default_rng(0).integers(1, 2**63, len(offsets), dtype=np.uint64) | np.uint64(1)
    mixed = (classes[order] * factors).sum(1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    upper = (mixed >> np.uint64(32)).astype(np.uint32)
    outside = _outside(places, values.shape)
    return np.maximum(upper, 1), np.where(outside > 0, 1 + outside, clipped / 2).astype(np.float32)


def _maxima(values: NDArray[np.float32]) -> NDArray[np.intp]:
    """Returns the places `[M, d]` of voxels above all that touch them, `REACH` or more from the border."""
    dims = values.ndim
    if min(values.shape) <= 2 * REACH:
        return np.zeros((0, dims), np.intp)
    inner = values[(slice(REACH, -REACH),) * dims]
    above = np.ones(inner.shape, bool)
    for axis, step in itertools.product(range(dims), (-1, 1)):
        part = [slice(REACH, -REACH)] * dims
        part[axis] = slice(REACH + step, values.shape[axis] - REACH + step)
        above &= inner > values[tuple(part)]
    places = np.argwhere(above) + REACH
    for offset in itertools.product((-1, 0, 1), repeat=dims):
        if sum(map(abs, offset)) > 1:
            here, there = values[tuple(places.T)], values[tuple((places + np.array(offset)).T)]
            places = places[here > there]
    return places


def _outside(places: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns by how much of a side each place is outside of the middle that every crop has, `[M]`."""
    sides = np.array(shape)
    middle = np.maximum((CROP - 0.5) * sides - REACH - 1, 0.5)
    away = np.abs(places - (sides - 1) / 2) - middle
    return np.clip(away / sides, 0, None).max(1, initial=0).astype(np.float32)


def selected(candidates: Hashes, cost: NDArray[np.float32]) -> Hashes:
    """Returns `KEPT` hashes: the least easily lost ones, the smallest first; 0 where there are less."""
    order = np.lexsort((candidates, cost))
    _, first = np.unique(candidates[order], return_index=True)
    chosen = candidates[order][np.sort(first)][:KEPT]
    return np.concatenate([chosen, np.zeros(KEPT - len(chosen), np.uint32)])
