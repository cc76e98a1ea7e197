"""The noise of an image, and the shortest blur that keeps it from counting as detail."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from ucf_vit.patching.detail.intensity import RobustScale
from ucf_vit.patching.detail.sample import pixels

SITES = 256
"""The noise is that at so many pixels."""
LONGEST = 9
"""Side of the longest blur that noise can ask for."""
SPARE = 2.5
"""What is no more than so many times the noise is no detail."""
QUIET = 1 / 64
"""Noise in the gradient, in robust ranges per pixel, that needs no longer blur."""
_BAND = (1.0, 0.0, -2.0, 0.0, 1.0)
_SEEN = 1 / 8
_FEWEST = 64


def quietest(
    image: Tensor, scale: RobustScale, shortest: int = 3, limit: float = QUIET
) -> tuple[int, Tensor]:
    """Side of the shortest blur that `image` `[C, *S]` needs, and the `noise` `[C]` after it.

    The first of `shortest`, ..., 7, 9 after which the noise in the gradient, in robust ranges per pixel, is
    no more than `limit` in the noisiest channel.
    """
    for side in range(shortest, LONGEST + 1, 2):
        left = noise(image, scale, side)
        if float(left.max()) * gradient_gain(side, image.ndim - 1) <= limit:
            break
    return side, left


def noise(image: Tensor, scale: RobustScale, side: int) -> Tensor:
    """Standard deviation `[C]` of the noise of `image` `[C, *S]`, in units of `scale`.

    It is that of white noise which a binomial kernel of `side` would leave as strong as what there is: noise
    that neighbours share, as after resampling, is less weakened by a blur. Measured as the median of the
    absolute value of second differences along all axes, which vanish on ramps and on edges along an axis
    (Immerkær 1996, "Fast noise variance estimation"; the median as in Donoho and Johnstone 1994), two pixels
    apart, as those that a central difference compares. Only the half of the pixels counts where the gradient
    is least (Tai and Yang 2008, "A fast method for image noise estimation using Laplacian operator and
    adaptive edge detection"): in noise the two are independent, and most of the structure is left out.

    Pixels outside the range of `scale` don't count, since there is no noise to be seen in what is clipped.
    Where they are more than 7 of 8, or there are fewer than 64 places for the kernel, it is 0.
    """
    dims, length = image.ndim - 1, side + len(_BAND) - 1
    inner = tuple(extent - length + 1 for extent in image.shape[1:])
    if min(inner) < 1 or math.prod(inner) < _FEWEST:
        return torch.zeros(len(image), device=image.device)
    index = _windows(tuple(image.shape[1:]), length, image.device)
    windows = image.flatten(1).index_select(1, index).view(len(image), length**dims, -1)
    centre = windows[:, length**dims // 2]
    seen = (centre > scale.low[:, None]) & (centre < scale.high[:, None])
    # The weights are integers, so that sums are exact as a rule, and the same for a mirrored or turned image.
    found = _filters(side, dims, image.device) @ windows.double()
    steep = found[:, 1:].square().sum(dim=1).masked_fill_(~seen, torch.nan)
    flat = steep <= steep.nanmedian(dim=1, keepdim=True).values
    response = found[:, 0].float().abs_().masked_fill_(~flat, torch.nan)
    middle = response.nanmedian(dim=1).values * (scale.factor / (0.6745 * _norm(side) ** dims))
    return middle.masked_fill_(seen.float().mean(dim=1) < _SEEN, 0)


@functools.cache
def gradient_gain(side: int, dims: int) -> float:
    """Standard deviation of a central difference of white noise of 1, smoothed with a binomial kernel."""
    smooth = binomial(side)
    across = _convolved(smooth, torch.tensor([-0.5, 0, 0.5]))
    return math.sqrt(float(across.square().sum() * smooth.square().sum() ** (dims - 1)))


@functools.cache
def binomial(side: int) -> Tensor:
    """The binomial kernel of `side` taps, of sum 1, float64 `[side]`."""
    taps = [math.comb(side - 1, tap) / 2 ** (side - 1) for tap in range(side)]
    return torch.tensor(taps, dtype=torch.float64)


@functools.lru_cache(maxsize=64)
def _filters(side: int, dims: int, device: torch.device) -> Tensor:
    """Weights `[1 + d, length ** d]`, all integers, for what is smoothed with a kernel of `side`.

    The second differences along all axes, and a central difference along each.
    """
    band, smooth, across = (_along(side, taps) for taps in (_BAND, (0, 0, 1, 0, 0), (0, -1, 0, 1, 0)))
    lines = [
        [band] * dims,
        *([across if axis == other else smooth for other in range(dims)] for axis in range(dims)),
    ]
    return torch.stack(
        [functools.reduce(lambda a, b: torch.outer(a, b).flatten(), line) for line in lines]
    ).to(device)


@functools.cache
def _norm(side: int) -> float:
    """Standard deviation of these second differences of white noise of 1, along one axis."""
    return float(_along(side, _BAND).square().sum().sqrt())


def _along(side: int, taps: tuple[float, ...]) -> Tensor:
    return _convolved(binomial(side) * 2 ** (side - 1), torch.tensor(taps))


@functools.lru_cache(maxsize=64)
def _windows(shape: tuple[int, ...], length: int, device: torch.device) -> Tensor:
    """Flat indices `[length ** d * K]` of windows of `length` pixels a side, all within an image."""
    inner = tuple(side - length + 1 for side in shape)
    first = torch.stack(torch.unravel_index(pixels(inner, SITES, device), inner), dim=1)
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
