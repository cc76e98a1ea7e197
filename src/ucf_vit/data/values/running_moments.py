"""Mean and standard deviation of values that arrive in parts."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SLAB = 2**20
"""Number of values that are converted to float64 at a time."""


class Moments(NamedTuple):
    """Number, mean and sum of squared deviations from the mean of some values."""

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def std(self) -> float:
        """Standard deviation; 0 where there are no values."""
        return math.sqrt(self.squares / self.number) if self.number else 0.0

    def __or__(self, other: Moments) -> Moments:
        """Returns the moments of the values of both (Chan et al. 1979)."""
        if not self.number or not other.number:
            return self if self.number else other
        total, difference = self.number + other.number, other.mean - self.mean
        mean = self.mean + difference * other.number / total
        squares = self.squares + other.squares + difference**2 * self.number * other.number / total
        return Moments(total, mean, squares)


def moments(values: NDArray[Any]) -> Moments:
    """Returns the moments in float64, computed slab by slab along the last axis without a full copy."""
    total = Moments()
    for slab in slabs_of(values):
        part = slab.astype(np.float64)
        mean = float(part.mean())
        total |= Moments(part.size, mean, float(np.square(part - mean).sum()))
    return total


def slabs_of(values: NDArray[Any]) -> list[NDArray[Any]]:
    """Returns views of about `SLAB` values each, cut along the last axis; none for an empty array."""
    if not values.size:
        return []
    return np.array_split(values, min(values.shape[-1], -(-values.size // SLAB)), axis=-1)


def present(values: NDArray[Any]) -> NDArray[Any]:
    """Returns the `values` that are not NaN: the array itself, or `[N]`."""
    missing = np.isnan(values)
    return values[~missing] if missing.any() else values
