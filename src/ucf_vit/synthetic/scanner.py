"""Simulated CT scan of a phantom: blur, rings, beam hardening, noise, 16-bit numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ucf_vit.synthetic.grid import Array, grainy_noise

AIR = 4000
"""CT number of air."""
MORTAR = 14000
"""CT number of mortar without cupping."""
CUPPING = (0.2, 0.35)
"""Difference between border and rotation axis, in units of mortar minus air."""
RINGS = 0.05
"""Standard deviation of the ring artefacts in the same unit."""
NOISE = (0.04, 0.07)
"""Standard deviation of the noise in the same unit."""


def scan(rng: np.random.Generator, attenuation: Array) -> NDArray[np.int16]:
    """Returns CT numbers `[X, Y, Z]` of an attenuation map with air at 0 and mortar at 1 (changed in place).

    The rotation axis is parallel to Z near the middle of the volume. Beam hardening is a smooth bowl, as
    after a linear reconstruction with a polychromatic beam (Brooks and Di Chiro 1976).
    """
    ndimage.gaussian_filter(attenuation, rng.uniform(0.6, 0.9), truncate=3, output=attenuation)
    radius = _radius(rng, attenuation.shape[:2])
    attenuation -= rng.uniform(*CUPPING) * (1 - (radius / radius.max()) ** 2)[:, :, None]
    attenuation += _rings(rng, radius, attenuation.shape[2])
    attenuation += grainy_noise(rng, attenuation.shape, 0.5, rng.uniform(*NOISE))
    numbers = AIR + (MORTAR - AIR) * attenuation
    return np.clip(np.rint(numbers), 0, np.iinfo(np.int16).max).astype(np.int16)


def _radius(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Returns the distance of each voxel column from the rotation axis, `[X, Y]`."""
    axis = [n * rng.uniform(0.42, 0.58) for n in shape]
    x, y = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(x - axis[0], y - axis[1]).astype(np.float32)


def _rings(rng: np.random.Generator, radius: Array, depth: int) -> Array:
    """Returns ring artefacts `[X, Y, Z]` of pixels with a gain error, which persists over some slices."""
    pixels = int(radius.max()) + 2
    gain = rng.standard_normal((pixels, depth), dtype=np.float32)
    gain += 3 * (rng.random((pixels, 1)) < 0.06) * rng.standard_normal((pixels, 1), dtype=np.float32)
    gain = ndimage.gaussian_filter1d(gain, 3, axis=1, mode="wrap")
    return (RINGS / gain.std() * gain)[np.rint(radius).astype(int)].astype(np.float32)
