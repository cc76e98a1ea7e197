"""Boxes within a volume, and noise fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Size = tuple[int, int, int]
Axes = tuple[Array, ...]


def box_around(
    centre: NDArray[Any], half: float | NDArray[Any], shape: Size
) -> tuple[tuple[slice, ...], Axes]:
    """Returns the part of `centre` ± `half` in the volume, as slices and as offsets from the centre.

    The offsets are an open grid: three arrays `[x, 1, 1]`, `[1, y, 1]`, `[1, 1, z]`. Drawing each shape only
    within its box keeps the cost of a phantom linear in its voxels.
    """
    low = np.clip(np.floor(centre - half), 0, shape).astype(int)
    high = np.clip(np.ceil(centre + half) + 1, 0, shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    offsets = [
        np.arange(a, b, dtype=np.float32) - np.float32(c) for a, b, c in zip(low, high, centre, strict=True)
    ]
    return box, np.ix_(*offsets)


def project_onto(vector: Sequence[float] | NDArray[Any], axes: Axes) -> Array:
    """Returns the inner products `[x, y, z]` of the points of an open grid with `vector` `[3]`."""
    x, y, z = (np.float32(v) * axis for v, axis in zip(vector, axes, strict=True))
    return x + y + z


def unit_vectors(rng: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Returns directions `[number, 3]`, uniformly distributed on the sphere."""
    vectors = rng.standard_normal((number, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def smooth_noise(rng: np.random.Generator, shape: Size, spacing: float, std: float) -> Array:
    """Returns noise with a standard deviation of about `std` and a correlation length of `spacing` voxels.

    Value noise: random nodes, interpolated with Perlin's fade curve.
    """
    nodes = [max(2, round(n / spacing) + 1) for n in shape]
    field = rng.standard_normal(nodes, dtype=np.float32)
    for axis, (n, k) in enumerate(zip(shape, nodes, strict=True)):
        position = np.linspace(0, k - 1, n)
        low = np.minimum(position.astype(int), k - 2)
        fraction = np.expand_dims(
            (position - low).astype(np.float32), [a for a in range(len(shape)) if a != axis]
        )
        start, end = np.take(field, low, axis), np.take(field, low + 1, axis)
        end -= start
        end *= fraction**2 * (3 - 2 * fraction)
        field = start + end
    field *= 1.5 * std
    return field


def grainy_noise(rng: np.random.Generator, shape: Size, sigma: float, std: float) -> Array:
    """Returns white noise blurred by `sigma` voxels, with a standard deviation of about `std`."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, truncate=3)
    noise *= std * (2 * sigma * np.sqrt(np.pi)) ** 1.5
    return noise
