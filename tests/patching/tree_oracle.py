"""Adaptive patching as one would first write it: loops over leaves. Slow, and right by inspection."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from ucf_vit.patching.tree.forest import Forest

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""First pixel and sides."""


def greedy_leaves(detail: NDArray[np.generic], forest: Forest, length: int) -> list[Box]:
    """Split the leaf with most detail until the next split would give more than `length` leaves.

    Of several the largest, and of these the first, seen from the ends where more blocks hold detail.
    """
    ends = [counts < counts[::-1] for counts in block_counts(detail, forest)]

    def place(leaf: Box) -> list[int]:
        return [-first if end else first for first, end in zip(leaf[0], ends, strict=True)]

    leaves = roots(forest)
    while len(leaves) + forest.branches - 1 <= length:
        splittable = [leaf for leaf in leaves if leaf[1] > forest.leaf]
        if not splittable:
            break
        best = min(splittable, key=lambda leaf: (-total(detail, leaf), -leaf[1][0], place(leaf)))
        leaves.remove(best)
        leaves += children(best)
    return leaves


def threshold_leaves(detail: NDArray[np.generic], forest: Forest, threshold: float) -> list[Box]:
    """Split every leaf that holds more than `threshold`."""
    todo = roots(forest)
    done: list[Box] = []
    while todo:
        leaf = todo.pop()
        if leaf[1] > forest.leaf and total(detail, leaf) > threshold:
            todo += children(leaf)
        else:
            done.append(leaf)
    return done


def roots(forest: Forest) -> list[Box]:
    """The largest boxes in the ratio of the smallest leaf, doubled, that divide the tile."""
    root = forest.leaf
    while all(side % (2 * part) == 0 for side, part in zip(forest.space, root, strict=True)):
        root = tuple(2 * part for part in root)
    steps = (range(0, side, part) for side, part in zip(forest.space, root, strict=True))
    return [(start, root) for start in product(*steps)]


def children(leaf: Box) -> list[Box]:
    start, sides = leaf[0], tuple(side // 2 for side in leaf[1])
    return [
        (tuple(first + side * bit for first, side, bit in zip(start, sides, corner, strict=True)), sides)
        for corner in product((0, 1), repeat=len(start))
    ]


def block_counts(detail: NDArray[np.generic], forest: Forest) -> list[list[int]]:
    """Along each axis, how many of the smallest blocks that can be split hold detail."""
    sides = tuple(2 * side if forest.depth else 1 for side in forest.leaf)
    counts = [[0] * (extent // side) for extent, side in zip(forest.space, sides, strict=True)]
    steps = (range(0, extent, side) for extent, side in zip(forest.space, sides, strict=True))
    for start in product(*steps):
        if total(detail, (start, sides)) > 0:
            for axis, first in enumerate(start):
                counts[axis][first // sides[axis]] += 1
    return counts


def total(detail: NDArray[np.generic], leaf: Box) -> float:
    return detail[region(leaf)].sum(dtype=np.float64).item()


def region(leaf: Box) -> tuple[slice, ...]:
    return tuple(slice(first, first + side) for first, side in zip(*leaf, strict=True))
