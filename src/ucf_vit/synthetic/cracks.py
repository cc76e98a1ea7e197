"""Cracks: thin branching sheets of varying width that run through the mortar and around aggregates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import erfinv

from ucf_vit.synthetic.grains import LARGEST_RADIUS
from ucf_vit.synthetic.grid import Array, Axes, box_around, project_onto, smooth_noise, unit_vectors

CELL = 72
"""Side in voxels of the cube that contains one crack on average."""
REACH = (30.0, 48.0)
"""Radius of a crack's disc in voxels."""
WIDTH = (1.4, 3.2)
"""Width in voxels at the middle of a crack; it decreases towards the rim."""
WANDER = 5.0
"""Deviation of a crack from its plane in the mortar, in voxels."""
WEAK = 0.15
"""Fraction of the aggregates that do not deflect a crack."""
SMOOTHING = 1.5
"""Standard deviation in voxels of the blur that turns the two sides of a crack into a distance."""

Mask = NDArray[np.bool_]


def cut_cracks(rng: np.random.Generator, owner: NDArray[np.int32]) -> Mask:
    """Returns a mask `[X, Y, Z]` of voxels in cracks, given the grain number of each voxel.

    There is at least one crack. A crack and its branch are discs around random planes, displaced by smooth
    noise.
    """
    shape = owner.shape
    cracks = np.zeros(shape, bool)
    warp = smooth_noise(rng, shape, 24, 0.8 * WANDER)
    warp += smooth_noise(rng, shape, 7, 0.25 * WANDER)
    opening = np.clip(1 + smooth_noise(rng, shape, 12, 0.5), 0.3, 2)
    margin = np.minimum(0.3 * np.array(shape), 20)
    weak = rng.random(int(owner.max()) + 1) < WEAK
    for _ in range(max(1, round(cracks.size / CELL**3))):
        centre = rng.uniform(margin, shape - margin)
        reach, width = rng.uniform(*REACH), rng.uniform(*WIDTH)
        normal, lean = unit_vectors(rng, 2)
        half = reach * np.sqrt(1 - normal**2) + (LARGEST_RADIUS + 2 * WANDER) * np.abs(normal)
        box, axes = box_around(centre, half, shape)
        strong = np.where(weak[owner[box]], 0, owner[box])
        widths = width * opening[box]

        side, main = _sheet(
            project_onto(normal, axes) + warp[box], strong, _taper(normal, axes, reach, widths)
        )
        turned = (normal + 1.2 * lean) / np.linalg.norm(normal + 1.2 * lean)
        _, branch = _sheet(
            project_onto(turned, axes) - warp[box], strong, _taper(turned, axes, 0.8 * reach, 0.7 * widths)
        )
        cracks[box] |= main | (branch & side)
    return cracks


def _sheet(level: Array, owner: NDArray[np.int32], width: Array) -> tuple[Mask, Mask]:
    """Returns masks of the positive side of a surface and of a sheet of the given width on it, `[x, y, z]`.

    The surface is where `level` changes its sign, except that each grain is assigned to the side of most of
    its voxels, so that the crack follows the border of the grain. The step between the sides blurred by a
    Gaussian is the error function of the distance from the surface, which gives the distance.
    """
    grain_side = np.bincount(owner.ravel(), weights=level.ravel()) > 0
    side = np.where(owner > 0, grain_side[owner], level > 0)
    step = ndimage.gaussian_filter(side.astype(np.float32), SMOOTHING, truncate=2.5)
    distance = np.sqrt(2) * SMOOTHING * erfinv(2 * step - 1)
    return side, (distance > 0) & (distance < width)


def _taper(normal: NDArray[np.float64], axes: Axes, reach: float, width: Array) -> Array:
    """Returns a width that decreases from the middle of a disc to one voxel at its rim, and 0 outside."""
    x, y, z = (axis**2 for axis in axes)
    inside = 1 - (x + y + z - project_onto(normal, axes) ** 2) / np.float32(reach**2)
    return np.where(inside > 0, np.maximum(width * np.sqrt(np.maximum(inside, 0)), 1), 0)
