"""Synthetic volume of concrete: mortar, aggregates, air voids and cracks, and their CT image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.core.seeds import seed_of
from ucf_vit.synthetic.cracks import cut_cracks
from ucf_vit.synthetic.grains import pack_grains
from ucf_vit.synthetic.grid import Array, Size, box_around, grainy_noise, smooth_noise
from ucf_vit.synthetic.scanner import scan

MIN_SIDE = 16
"""Smallest number of voxels along an axis."""
CLASS_NAMES = ("mortar", "aggregate", "void", "crack")
AGGREGATES = (0.31, 0.41)
"""Volume fraction of aggregates."""
VOIDS = (0.025, 0.05)
"""Volume fraction of air voids."""
VOID_RADIUS = (1.3, 7.0)
"""Radius of air voids in voxels."""
MINERALS = {
    "pumice": (0.5, 0.06),
    "shale": (0.8, 0.24),
    "limestone": (0.94, 0.2),
    "quartz": (1.12, 0.25),
    "basalt": (1.3, 0.25),
}
"""Attenuation of the aggregates relative to mortar, and the fraction of the grains."""
SPREAD = 0.04
"""Standard deviation of a mineral's attenuation from grain to grain."""
SAND = 0.16
"""Standard deviation of the fine texture of mortar (unresolved sand); aggregates have less."""


def make_volume(size: Size, seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Returns CT image and label of a piece of concrete, both `[X, Y, Z]`, as a function of (size, seed).

    The image holds CT numbers; the classes of the label are 0 mortar, 1 aggregate, 2 air void, 3 crack.
    Features have fixed sizes in voxels, so that a larger volume is a larger piece of the same material. Time
    and memory are linear in the number of voxels: about a second per million, and at most about 25 bytes per
    voxel.

    Raises UserError if an axis has fewer than 16 voxels.
    """
    check_volume_size(size)
    label, owner = _phantom(np.random.default_rng(seed_of(seed, "phantom")), size)
    attenuation = _attenuation(np.random.default_rng(seed_of(seed, "minerals")), label, owner)
    return scan(np.random.default_rng(seed_of(seed, "scanner")), attenuation), label


def check_volume_size(size: Size) -> None:
    """Raises UserError unless `size` has three axes that are long enough."""
    if len(size) != 3 or min(size) < MIN_SIDE:
        text = "x".join(str(n) for n in size)
        raise UserError(
            f"size {text}: a synthetic volume needs three axes of at least {MIN_SIDE} voxels each"
        )


def _phantom(rng: np.random.Generator, shape: Size) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Returns class and grain number of each voxel, both `[X, Y, Z]`."""
    owner = pack_grains(rng, shape, fraction=rng.uniform(*AGGREGATES), crushed=rng.uniform(0.3, 0.9))
    label = (owner > 0).astype(np.uint8)
    label[cut_cracks(rng, owner)] = 3
    _add_voids(rng, label, owner)
    return label, owner


def _add_voids(rng: np.random.Generator, label: NDArray[np.uint8], owner: NDArray[np.int32]) -> None:
    """Adds air voids to the mortar in place, many small and few large ones; they hardly overlap grains."""
    missing = rng.uniform(*VOIDS) * label.size
    low, high = VOID_RADIUS[0], min(VOID_RADIUS[1], min(label.shape) / 5)
    while missing > 0:
        radius = low * (high / low) ** (rng.random() ** 1.3)
        box, (x, y, z) = box_around(rng.uniform(0, label.shape), radius, label.shape)
        bubble = x**2 + y**2 + z**2 < radius**2
        if np.count_nonzero(owner[box][bubble]) <= 0.1 * np.count_nonzero(bubble):
            missing -= np.count_nonzero(label[box][bubble] != 2)
            label[box][bubble] = 2


def _attenuation(rng: np.random.Generator, label: NDArray[np.uint8], owner: NDArray[np.int32]) -> Array:
    """Returns the attenuation `[X, Y, Z]` before the scan: air 0, mortar about 1, a value for each grain."""
    grains = int(owner.max()) + 1
    values, weights = np.array(list(MINERALS.values())).T
    mineral = rng.choice(values, size=grains, p=weights / weights.sum())
    level = (mineral + SPREAD * rng.standard_normal(grains)).astype(np.float32)
    roughness = rng.uniform(0.1, 0.5, size=grains).astype(np.float32)
    level[0] = roughness[0] = 1
    texture = grainy_noise(rng, label.shape, 0.8, SAND)
    texture *= roughness[owner]
    texture += level[owner]
    texture += smooth_noise(rng, label.shape, 16, 0.03)
    texture[label >= 2] = 0
    return texture
