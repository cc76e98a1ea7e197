"""Boxes within a volume and smooth noise: what grains, voids, cracks and the scanner share."""

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
    """The part of `centre` ± `half` that lies in the volume, as slices and as offsets from the centre.

    The offsets are an open grid: three arrays `[x, 1, 1]`, `[1, y, 1]`, `[1, 1, z]`. Drawing a shape within
    its own box alone keeps the cost of a phantom linear in its voxels.
    """
    low = np.clip(np.floor(centre - half), 0, shape).astype(int)
    high = np.clip(np.ceil(centre + half) + 1, 0, shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    offsets = [
        np.arange(a, b, dtype=np.float32) - np.float32(c) for a, b, c in zip(low, high, centre, strict=True)
    ]
    return box, np.ix_(*offsets)


def along(vector: Sequence[float] | NDArray[Any], axes: Axes) -> Array:
    """Inner product of `vector` `[3]` with every point of an open grid, `[x, y, z]`."""
    x, y, z = (np.float32(v) * axis for v, axis in zip(vector, axes, strict=True))
    return x + y + z


def unit_vectors(rng: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Directions `[number, 3]`, uniform on the sphere."""
    vectors = rng.standard_normal((number, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def smooth_noise(rng: np.random.Generator, shape: Size, spacing: float, std: float) -> Array:
    """Noise of about the standard deviation `std` that changes over some `spacing` voxels.

    Random nodes with Perlin's fade curve between them (value noise).
    """
    nodes = [max(2, round(n / spacing) + 1) for n in shape]
    field = rng.standard_normal(nodes, dtype=np.float32)
    for axis, (n, k) in enumerate(zip(shape, nodes, strict=True)):
        position = np.linspace(0, k - 1, n)
        low = np.minimum(position.astype(int), k - 2)
        part = np.expand_dims(
            (position - low).astype(np.float32), [a for a in range(len(shape)) if a != axis]
        )
        start, end = np.take(field, low, axis), np.take(field, low + 1, axis)
        end -= start
        end *= part**2 * (3 - 2 * part)
        field = start + end
    field *= 1.5 * std
    return field


def grainy_noise(rng: np.random.Generator, shape: Size, sigma: float, std: float) -> Array:
    """White noise blurred by `sigma` voxels, of about the standard deviation `std`."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, truncate=3)
    noise *= std * (2 * sigma * np.sqrt(np.pi)) ** 1.5
    return noise
