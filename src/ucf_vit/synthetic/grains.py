"""Aggregates: rough grains of many sizes without overlap, packed according to a sieve curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucf_vit.synthetic.grid import Array, Axes, Size, box_around, unit_vectors

LARGEST_RADIUS = 15.0
"""Radius in voxels of the largest aggregate (smaller in small volumes)."""
SMALLEST_RADIUS = 2.6
"""Radius in voxels of the smallest aggregate; smaller grains of a real mix count as mortar."""
SIEVES = 7
TRIES = 25
"""Number of positions tried per grain of a sieve before a crowded volume is left as it is."""
OVERLAP = 0.02
"""Fraction of a grain's voxels that may already belong to other grains."""


def pack_grains(rng: np.random.Generator, shape: Size, fraction: float, crushed: float) -> NDArray[np.int32]:
    """Fills `fraction` of the volume with aggregates, largest first (random sequential addition).

    Returns the number of the grain at each voxel `[X, Y, Z]`, 0 for none.

    All sieves hold the same volume; the next sieve makes up for a surplus or deficit of one. The radii follow
    Fuller's curve: the fraction of the volume that passes a sieve of radius r grows as the square root of r
    (Fuller and Thompson 1907). `crushed` is the fraction of angular grains; the others are round.
    """
    owner = np.zeros(shape, np.int32)
    number, missing = 1, 0.0
    for radius in sieve_radii(shape):
        missing += fraction * owner.size / SIEVES
        tries = int(TRIES * max(missing, 0) / grain_volume(radius)) + 8
        centres = rng.uniform(-0.5 * radius, np.array(shape) + 0.5 * radius, size=(tries, 3))
        for centre in centres[~_is_occupied(owner, centres, radius)]:
            if missing <= 0:
                break
            size, angular = radius * rng.uniform(0.85, 1.15), rng.random() < crushed
            placed = _place_grain(rng, owner, centre, size, angular, number)
            number += placed > 0
            missing -= placed
    return owner


def sieve_radii(shape: Size) -> NDArray[np.float64]:
    """Returns the radius of each sieve in voxels, largest first."""
    largest = min(LARGEST_RADIUS, min(shape) / 4)
    middle = (np.arange(SIEVES)[::-1] + 0.5) / SIEVES
    return (np.sqrt(SMALLEST_RADIUS) + middle * (np.sqrt(largest) - np.sqrt(SMALLEST_RADIUS))) ** 2


def grain_volume(radius: float) -> float:
    """Returns the volume of a sphere in voxels."""
    return 4 / 3 * np.pi * radius**3


def _is_occupied(owner: NDArray[np.int32], centres: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Returns whether there is a grain at or near each of the centres `[N, 3]`; faster than drawing one."""
    occupied = np.zeros(len(centres), bool)
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    for step in (np.zeros(3), *(0.4 * radius * corners)):
        voxels = np.clip(np.rint(centres + step), 0, np.array(owner.shape) - 1).astype(int)
        occupied |= owner[tuple(voxels.T)] > 0
    return occupied


def _place_grain(
    rng: np.random.Generator,
    owner: NDArray[np.int32],
    centre: NDArray[np.float64],
    radius: float,
    angular: bool,
    number: int,
) -> int:
    """Draws grain `number` if there is room, in place; returns the number of its voxels, 0 for no room."""
    box, axes = box_around(centre, 1.4 * radius, owner.shape)
    inside = _draw_grain(rng, axes, radius, angular)
    owner_in_box = owner[box]
    size = int(np.count_nonzero(inside))
    inside &= owner_in_box == 0
    free = int(np.count_nonzero(inside))
    if size - free > OVERLAP * size:
        return 0
    owner_in_box[inside] = number
    return free


def _draw_grain(rng: np.random.Generator, axes: Axes, radius: float, angular: bool) -> NDArray[np.bool_]:
    """Returns a mask `[x, y, z]` of the points of the grid in a random grain around the origin.

    The frame is a random rotation with random half axes. A round grain is a blend of an ellipsoid and a
    rounded box (superellipsoid); an angular grain is an ellipsoid cut by random planes. Three waves roughen
    the surface.
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
    """Returns all points of an open grid, `[3, M]`."""
    points = np.empty((3, *(offset.size for offset in axes)), np.float32)
    for row, offset in zip(points, axes, strict=True):
        row[...] = offset
    return points.reshape(3, -1)


def _product(vectors: NDArray[np.float64], points: Array) -> Array:
    """Returns the inner products `[V, M]` of vectors `[V, 3]` and points `[3, M]` in float32."""
    return vectors.astype(np.float32) @ points
