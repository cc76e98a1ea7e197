"""A few pixels that stand for a whole image, the same ones however the image is turned."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor


@functools.lru_cache(maxsize=64)
def pixels(shape: tuple[int, ...], count: int, device: torch.device) -> Tensor:
    """Flat indices `[K]` of about `count` pixels of an image of sides `shape`, or of all if those are fewer.

    They are spread evenly without being in step with any texture (Kronecker's sequence with the ratios of
    Roberts 2018, "The unreasonable effectiveness of quasirandom sequences"). Mirroring an axis or swapping
    two maps the set onto itself, or onto that of the other shape.
    """
    if math.prod(shape) <= count:
        return torch.arange(math.prod(shape), device=device)
    axes = sorted(range(len(shape)), key=lambda axis: shape[axis])
    turns = _turns([shape[axis] for axis in axes])
    sides = torch.tensor([shape[axis] for axis in axes])
    few = _even(math.ceil(count / len(turns)), len(shape))
    few = (few * sides).long().clamp_(max=sides - 1)
    index = torch.zeros(len(turns), len(few), dtype=torch.int64)
    for axis in range(len(shape)):
        place = axes.index(axis)
        for row, (order, mirrored) in enumerate(turns):
            along = few[:, order[place]]
            index[row] = index[row] * shape[axis] + (sides[place] - 1 - along if mirrored[place] else along)
    return index.flatten().to(device)


def _even(count: int, dims: int) -> Tensor:
    """Points `[count, dims]` float64 spread evenly over the unit cube."""
    ratio = 2.0
    for _ in range(40):
        ratio = (1 + ratio) ** (1 / (dims + 1))
    steps = ratio ** -torch.arange(1, dims + 1, dtype=torch.float64)
    return (0.5 + torch.arange(1, count + 1, dtype=torch.float64)[:, None] * steps) % 1


def _turns(sides: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """All ways to swap axes of the same length and to mirror them: orders of axes, and which are mirrored."""
    orders = [
        order
        for order in itertools.permutations(range(len(sides)))
        if all(sides[axis] == sides[place] for place, axis in enumerate(order))
    ]
    return list(itertools.product(orders, itertools.product((False, True), repeat=len(sides))))
