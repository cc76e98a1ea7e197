"""Estimate of the noise of an image, and the smallest blur that keeps it from counting as detail."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from ucf_vit.patching.detail.intensity import RobustScale
from ucf_vit.patching.detail.sample import sample_pixels

SITES = 256
"""Number of pixels at which the noise is measured."""
MAX_SIDE = 9
"""Side of the largest blur that `choose_blur` returns."""
NOISE_MARGIN = 2.5
"""Multiple of the noise up to which a value does not count as detail."""
MAX_GRADIENT_NOISE = 1 / 64
"""Noise in the gradient, in robust ranges per pixel, that needs no larger blur."""
_SECOND_DIFFERENCE = (1.0, 0.0, -2.0, 0.0, 1.0)
_MIN_UNCLIPPED = 1 / 8
_MIN_WINDOWS = 64


def choose_blur(
    image: Tensor, scale: RobustScale, shortest: int = 3, limit: float = MAX_GRADIENT_NOISE
) -> tuple[int, Tensor]:
    """Returns the side of the smallest blur that `image` `[C, *S]` needs, and the noise `[C]` after it.

    The side is the first of `shortest`, ..., 7, 9 after which the noise in the gradient of the noisiest
    channel, in robust ranges per pixel, is at most `limit`; 9 if there is none. See `estimate_noise`.
    """
    for side in range(shortest, MAX_SIDE + 1, 2):
        residual_noise = estimate_noise(image, scale, side)
        if float(residual_noise.max()) * gradient_gain(side, image.ndim - 1) <= limit:
            break
    return side, residual_noise


def estimate_noise(image: Tensor, scale: RobustScale, side: int) -> Tensor:
    """Returns the standard deviation `[C]` of the noise of `image` `[C, *S]`, in units of `scale`.

    This is the standard deviation of the white noise that would be as strong as the actual noise after a
    binomial kernel of `side`: a blur weakens correlated noise, as after resampling, less than white noise.

    It is computed from the median of the absolute value of second differences along all axes, which vanish on
    ramps and on edges along an axis (Immerkær 1996, "Fast noise variance estimation"; the median as in Donoho
    and Johnstone 1994). Their taps are two pixels apart, as in a central difference. Only the half of the
    pixels with the smallest gradient is used (Tai and Yang 2008, "A fast method for image noise estimation
    using Laplacian operator and adaptive edge detection"): in noise, gradient and second difference are
    independent, so that this excludes most of the structure without a bias.

    Pixels outside the range of `scale` are not used, since clipped values show no noise. The result is 0 if
    they are more than 7 of 8 pixels, or if the kernel has fewer than 64 positions.
    """
    dims, length = image.ndim - 1, side + len(_SECOND_DIFFERENCE) - 1
    inner = tuple(extent - length + 1 for extent in image.shape[1:])
    if min(inner) < 1 or math.prod(inner) < _MIN_WINDOWS:
        return torch.zeros(len(image), device=image.device)
    index = _windows(tuple(image.shape[1:]), length, image.device)
    windows = image.flatten(1).index_select(1, index).view(len(image), length**dims, -1)
    centre = windows[:, length**dims // 2]
    unclipped = (centre > scale.low[:, None]) & (centre < scale.high[:, None])
    # With integer weights sums are normally exact, and thus the same for a mirrored or rotated image.
    responses = _filters(side, dims, image.device) @ windows.double()
    slope = responses[:, 1:].square().sum(dim=1).masked_fill_(~unclipped, torch.nan)
    flat = slope <= slope.nanmedian(dim=1, keepdim=True).values
    second = responses[:, 0].float().abs_().masked_fill_(~flat, torch.nan)
    # The median of the absolute value of a standard normal variable is 0.6745.
    deviation = second.nanmedian(dim=1).values * (scale.factor / (0.6745 * _norm(side) ** dims))
    return deviation.masked_fill_(unclipped.float().mean(dim=1) < _MIN_UNCLIPPED, 0)


@functools.cache
def gradient_gain(side: int, dims: int) -> float:
    """Returns the standard deviation of a central difference of unit white noise after a binomial kernel."""
    smooth = binomial(side)
    across = _convolved(smooth, torch.tensor([-0.5, 0, 0.5]))
    return math.sqrt(float(across.square().sum() * smooth.square().sum() ** (dims - 1)))


@functools.cache
def binomial(side: int) -> Tensor:
    """Returns the binomial kernel of `side` taps with sum 1, float64 `[side]`."""
    taps = [math.comb(side - 1, tap) / 2 ** (side - 1) for tap in range(side)]
    return torch.tensor(taps, dtype=torch.float64)


@functools.lru_cache(maxsize=64)
def _filters(side: int, dims: int, device: torch.device) -> Tensor:
    """Returns integer filter weights `[1 + d, length ** d]` that include smoothing with a kernel of `side`.

    The first filter is the product of second differences along all axes; the others are central differences
    along one axis each.
    """
    taps = (_SECOND_DIFFERENCE, (0, 0, 1, 0, 0), (0, -1, 0, 1, 0))
    second, smooth, central = (_smoothed(side, line) for line in taps)
    lines = [
        [second] * dims,
        *([central if axis == other else smooth for other in range(dims)] for axis in range(dims)),
    ]
    return torch.stack(
        [functools.reduce(lambda a, b: torch.outer(a, b).flatten(), line) for line in lines]
    ).to(device)


@functools.cache
def _norm(side: int) -> float:
    """Returns the standard deviation of the second differences of unit white noise along one axis."""
    return float(_smoothed(side, _SECOND_DIFFERENCE).square().sum().sqrt())


def _smoothed(side: int, taps: tuple[float, ...]) -> Tensor:
    return _convolved(binomial(side) * 2 ** (side - 1), torch.tensor(taps))


@functools.lru_cache(maxsize=64)
def _windows(shape: tuple[int, ...], length: int, device: torch.device) -> Tensor:
    """Returns the flat indices `[length ** d * K]` of windows of `length` pixels a side within an image."""
    inner = tuple(side - length + 1 for side in shape)
    first = torch.stack(torch.unravel_index(sample_pixels(inner, SITES, device), inner), dim=1)
    offsets = torch.cartesian_prod(*[torch.arange(length, device=device)] * len(shape))
    index = torch.zeros(len(offsets), len(first), dtype=torch.int64, device=device)
    for axis, side in enumerate(shape):
        index = index * side + offsets[:, None, axis] + first[None, :, axis]
    return index.flatten()


def _convolved(first: Tensor, second: Tensor) -> Tensor:
    product = torch.zeros(len(first) + len(second) - 1, dtype=torch.float64)
    for tap, weight in enumerate(second.tolist()):
        product[tap : tap + len(first)] += weight * first
    return product
