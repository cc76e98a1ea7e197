"""Aggregates: rough grains of many sizes that do not overlap, packed until the sieve curve is filled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucf_vit.synthetic.grid import Array, Axes, Size, box_around, unit_vectors

LARGEST = 15.0
"""Radius in voxels of the largest aggregate (smaller in a volume that would not hold it)."""
SMALLEST = 2.6
"""Radius in voxels of the smallest one; what is smaller in a real mix belongs to the mortar."""
SIEVES = 7
TRIES = 25
"""Places tried per grain that would fill a sieve, before a crowded volume is left as it is."""
OVERLAP = 0.02
"""Share of a grain's voxels that may already belong to others."""


def pack_grains(rng: np.random.Generator, shape: Size, fraction: float, crushed: float) -> NDArray[np.int32]:
    """Fill `fraction` of the volume with aggregates, the largest first (random sequential addition).

    Returns the number of the grain at each voxel `[X, Y, Z]`, 0 for none.

    Every sieve holds the same volume; what one has too much or too little, the next makes up. Its radius
    follows from Fuller's curve: the share of the volume that passes a sieve of radius r grows as the square
    root of r (Fuller and Thompson 1907). `crushed` is the share of angular grains, the others are round.
    """
    owner = np.zeros(shape, np.int32)
    number, missing = 1, 0.0
    for radius in sieve_radii(shape):
        missing += fraction * owner.size / SIEVES
        tries = int(TRIES * max(missing, 0) / grain_volume(radius)) + 8
        places = rng.uniform(-0.5 * radius, np.array(shape) + 0.5 * radius, size=(tries, 3))
        for centre in places[~_taken(owner, places, radius)]:
            if missing <= 0:
                break
            size, angular = radius * rng.uniform(0.85, 1.15), rng.random() < crushed
            placed = _place(rng, owner, centre, size, angular, number)
            number += placed > 0
            missing -= placed
    return owner


def sieve_radii(shape: Size) -> NDArray[np.float64]:
    """Radius of each sieve, largest first, in voxels."""
    largest = min(LARGEST, min(shape) / 4)
    middle = (np.arange(SIEVES)[::-1] + 0.5) / SIEVES
    return (np.sqrt(SMALLEST) + middle * (np.sqrt(largest) - np.sqrt(SMALLEST))) ** 2


def grain_volume(radius: float) -> float:
    """Voxels of a sphere."""
    return 4 / 3 * np.pi * radius**3


def _taken(owner: NDArray[np.int32], places: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Whether a grain is at each of the places `[N, 3]`, or near it: a quick look before a box is drawn."""
    taken = np.zeros(len(places), bool)
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    for step in (np.zeros(3), *(0.4 * radius * corners)):
        voxels = np.clip(np.rint(places + step), 0, np.array(owner.shape) - 1).astype(int)
        taken |= owner[tuple(voxels.T)] > 0
    return taken


def _place(
    rng: np.random.Generator,
    owner: NDArray[np.int32],
    centre: NDArray[np.float64],
    radius: float,
    angular: bool,
    number: int,
) -> int:
    """Draw grain `number` if there is room; returns the voxels it took, 0 for none."""
    box, axes = box_around(centre, 1.4 * radius, owner.shape)
    inside = _grain(rng, axes, radius, angular)
    here = owner[box]
    size = int(np.count_nonzero(inside))
    inside &= here == 0
    free = int(np.count_nonzero(inside))
    if size - free > OVERLAP * size:
        return 0
    here[inside] = number
    return free


def _grain(rng: np.random.Generator, axes: Axes, radius: float, angular: bool) -> NDArray[np.bool_]:
    """Which points of the grid lie in a random grain around its origin, `[x, y, z]`.

    The frame is a random rotation with random half axes. A round grain is a blend of ellipsoid and rounded
    box (superellipsoid); an angular one an ellipsoid cut by random planes. Three waves roughen the surface.
    """
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    stretch = np.exp(rng.uniform(-0.22, 0.22, size=3))
    frame = rotation / (radius * stretch / np.cbrt(stretch.prod()))[:, None]
    planes = unit_vectors(rng, 14) / rng.uniform(0.78, 1.02, size=(14, 1))
    waves = unit_vectors(rng, 3) * rng.uniform(3, 7, size=(3, 1))
    points = _points(axes)
    squares = _product(frame, points) ** 2
    if angular:
        level = np.sqrt(squares.sum(axis=0)) / np.float32(1.15)
        np.maximum(level, _product(planes @ frame, points).max(axis=0), out=level)
    else:
        boxy = np.float32(rng.uniform(0, 0.8))
        level = np.sqrt((1 - boxy) * squares.sum(axis=0) + boxy * np.sqrt((squares**2).sum(axis=0)))
    phases = rng.uniform(0, 2 * np.pi, size=(3, 1)).astype(np.float32)
    level += np.float32(0.035) * np.sin(_product(waves @ frame, points) + phases).sum(axis=0)
    return (level < 1).reshape([offset.size for offset in axes])


def _points(axes: Axes) -> Array:
    """Every point of an open grid, `[3, M]`."""
    points = np.empty((3, *(offset.size for offset in axes)), np.float32)
    for row, offset in zip(points, axes, strict=True):
        row[...] = offset
    return points.reshape(3, -1)


def _product(vectors: NDArray[np.float64], points: Array) -> Array:
    """Inner products `[V, M]` of vectors `[V, 3]` and points `[3, M]` in float32."""
    return vectors.astype(np.float32) @ points
