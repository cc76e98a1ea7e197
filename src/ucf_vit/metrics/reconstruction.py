"""Quality of reconstructed images: PSNR and SSIM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SIGMA, RADIUS = 1.5, 5
"""Gaussian window of SSIM: 11 pixels along each axis."""


def psnr(image: NDArray[Any], target: NDArray[Any]) -> float:
    """Returns the peak signal-to-noise ratio in dB of two arrays of one shape.

    The peak is the range of the target's values. At most 100 dB, which is also that of an equal image.
    """
    peak = float(target.max()) - float(target.min())
    error = float(np.mean(np.square(image.astype(np.float64) - target)))
    return 100.0 if error <= peak**2 * 1e-10 else float(10 * np.log10(peak**2 / error)) if peak else 0.0


def ssim(image: NDArray[Any], target: NDArray[Any]) -> float:
    """Returns the mean structural similarity (Wang et al. 2004) of channels `[C, *S]`, with their constants.

    Windows are Gaussian, in 2D or 3D, and lie inside of the image where it is larger than a window.
    """
    return float(np.mean([_ssim(*pair) for pair in zip(image, target, strict=True)]))


def _ssim(image: NDArray[Any], target: NDArray[Any]) -> float:
    x, y = image.astype(np.float64), target.astype(np.float64)
    peak = float(y.max() - y.min()) or 1.0
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mx, my = _smooth(x), _smooth(y)
    vx, vy, cov = _smooth(x * x) - mx * mx, _smooth(y * y) - my * my, _smooth(x * y) - mx * my
    values = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    inside = tuple(slice(RADIUS, side - RADIUS) if side > 2 * RADIUS else slice(None) for side in x.shape)
    return float(values[inside].mean())


def _smooth(array: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(array, SIGMA, radius=RADIUS))
