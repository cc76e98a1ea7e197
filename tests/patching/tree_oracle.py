"""Adaptive patching as one would first write it: loops over leaves. Slow, and right by inspection."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from ucf_vit.patching.tree.forest import Forest

Box = tuple[tuple[int, ...], int]
"""First pixel and side."""


def greedy_leaves(detail: NDArray[np.generic], forest: Forest, length: int) -> list[Box]:
    """Split the leaf with most detail until the next split would give more than `length` leaves.

    Of several the largest, and of these the first, seen from the ends where more blocks hold detail.
    """
    ends = [counts < counts[::-1] for counts in block_counts(detail, forest)]

    def place(leaf: Box) -> list[int]:
        return [-first if end else first for first, end in zip(leaf[0], ends, strict=True)]

    starts = product(*(range(0, side, forest.root) for side in forest.space))
    leaves: list[Box] = [(start, forest.root) for start in starts]
    while len(leaves) + forest.branches - 1 <= length:
        splittable = [leaf for leaf in leaves if leaf[1] > forest.min_leaf]
        if not splittable:
            break
        best = min(splittable, key=lambda leaf: (-total(detail, leaf), -leaf[1], place(leaf)))
        leaves.remove(best)
        leaves += children(best)
    return leaves


def threshold_leaves(detail: NDArray[np.generic], forest: Forest, threshold: float) -> list[Box]:
    """Split every leaf that holds more than `threshold`."""
    starts = product(*(range(0, side, forest.root) for side in forest.space))
    todo: list[Box] = [(start, forest.root) for start in starts]
    done: list[Box] = []
    while todo:
        leaf = todo.pop()
        if leaf[1] > forest.min_leaf and total(detail, leaf) > threshold:
            todo += children(leaf)
        else:
            done.append(leaf)
    return done


def children(leaf: Box) -> list[Box]:
    start, side = leaf[0], leaf[1] // 2
    return [
        (tuple(first + side * bit for first, bit in zip(start, corner, strict=True)), side)
        for corner in product((0, 1), repeat=len(start))
    ]


def block_counts(detail: NDArray[np.generic], forest: Forest) -> list[list[int]]:
    """Along each axis, how many of the smallest blocks that can be split hold detail."""
    side = 2 * forest.min_leaf if forest.depth else 1
    counts = [[0] * (extent // side) for extent in forest.space]
    for start in product(*(range(0, extent, side) for extent in forest.space)):
        if total(detail, (start, side)) > 0:
            for axis, first in enumerate(start):
                counts[axis][first // side] += 1
    return counts


def total(detail: NDArray[np.generic], leaf: Box) -> float:
    return detail[region(leaf)].sum(dtype=np.float64).item()


def region(leaf: Box) -> tuple[slice, ...]:
    return tuple(slice(first, first + leaf[1]) for first in leaf[0])
