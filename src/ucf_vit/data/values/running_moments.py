"""Mean and standard deviation of values that come piece by piece."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SLAB = 2**20
"""Values that are made float64 at a time."""


class Moments(NamedTuple):
    """Number, mean and summed squared deviations from the mean of some values."""

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def std(self) -> float:
        """Standard deviation; 0 where there are no values."""
        return math.sqrt(self.squares / self.number) if self.number else 0.0

    def __or__(self, other: Moments) -> Moments:
        """Those of the values of both (Chan et al. 1979)."""
        if not self.number or not other.number:
            return self if self.number else other
        total, difference = self.number + other.number, other.mean - self.mean
        mean = self.mean + difference * other.number / total
        squares = self.squares + other.squares + difference**2 * self.number * other.number / total
        return Moments(total, mean, squares)


def moments(values: NDArray[Any]) -> Moments:
    """In float64, slab by slab along the last axis: nothing is copied whole."""
    found = Moments()
    for slab in slabs_of(values):
        part = slab.astype(np.float64)
        mean = float(part.mean())
        found |= Moments(part.size, mean, float(np.square(part - mean).sum()))
    return found


def slabs_of(values: NDArray[Any]) -> list[NDArray[Any]]:
    """Views of about `SLAB` values, cut along the last axis; none of an empty array."""
    if not values.size:
        return []
    return np.array_split(values, min(values.shape[-1], -(-values.size // SLAB)), axis=-1)


def present(values: NDArray[Any]) -> NDArray[Any]:
    """Those `values` that are not missing (NaN): the array itself, or `[N]`."""
    missing = np.isnan(values)
    return values[~missing] if missing.any() else values
