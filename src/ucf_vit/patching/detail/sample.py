"""Sample of the pixels of an image that is the same for all its mirrored and rotated versions."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor


@functools.lru_cache(maxsize=64)
def sample_pixels(shape: tuple[int, ...], count: int, device: torch.device) -> Tensor:
    """Returns flat indices `[K]` of about `count` pixels of an image of `shape`, or of all if it has fewer.

    They are spread evenly, but not periodically like a texture (Kronecker sequence with the ratios of Roberts
    2018, "The unreasonable effectiveness of quasirandom sequences"). Mirroring an axis or swapping two axes
    maps the set onto itself, or onto the set of the swapped shape.
    """
    if math.prod(shape) <= count:
        return torch.arange(math.prod(shape), device=device)
    axes = sorted(range(len(shape)), key=lambda axis: shape[axis])
    symmetries = _symmetries([shape[axis] for axis in axes])
    sides = torch.tensor([shape[axis] for axis in axes])
    points = _kronecker_points(math.ceil(count / len(symmetries)), len(shape))
    pixels = (points * sides).long().clamp_(max=sides - 1)
    index = torch.zeros(len(symmetries), len(pixels), dtype=torch.int64)
    for axis in range(len(shape)):
        column = axes.index(axis)
        for row, (order, mirrored) in enumerate(symmetries):
            along = pixels[:, order[column]]
            along = sides[column] - 1 - along if mirrored[column] else along
            index[row] = index[row] * shape[axis] + along
    return index.flatten().to(device)


def _kronecker_points(count: int, dims: int) -> Tensor:
    """Returns points `[count, dims]` float64 spread evenly over the unit cube."""
    ratio = 2.0
    for _ in range(40):
        ratio = (1 + ratio) ** (1 / (dims + 1))
    steps = ratio ** -torch.arange(1, dims + 1, dtype=torch.float64)
    return (0.5 + torch.arange(1, count + 1, dtype=torch.float64)[:, None] * steps) % 1


def _symmetries(sides: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Returns all permutations of axes of equal length, each with all choices of mirrored axes."""
    orders = [
        order
        for order in itertools.permutations(range(len(sides)))
        if all(sides[axis] == sides[column] for column, axis in enumerate(order))
    ]
    return list(itertools.product(orders, itertools.product((False, True), repeat=len(sides))))
