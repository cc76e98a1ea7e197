"""One scale of intensities for all images: robust range to [0, 1]."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ucf_vit.core.seeds import generator

PERCENTILES = (0.5, 99.5)
MAX_SAMPLES = 4096
"""The percentiles of a larger channel are those of so many of its pixels."""


def normalise(image: Tensor) -> Tensor:
    """Bring each channel of `image` `[C, *S]` to [0, 1] float32: its robust range, clamped.

    The range lies between the percentiles 0.5 and 99.5 of at most 4,096 pixels, which are spread evenly and
    the same for all images of a size. Where those are equal (an object on an empty background that covers
    less than 0.5 %), it is the whole range of the channel. A channel without contrast becomes 0; NaN counts
    as the lowest value.
    """
    image = image.float()
    low, high = robust_range(image)
    shape = (-1, *[1] * (image.ndim - 1))
    scale = torch.where(high > low, 1 / (high - low), 0)
    scaled = (image - low.view(shape)).mul_(scale.view(shape)).clamp_(0, 1)
    return scaled.nan_to_num_(0)


def robust_range(image: Tensor) -> tuple[Tensor, Tensor]:
    """Low and high `[C]` of a float image `[C, *S]`, as described at `normalise`; infinite values do not count."""
    flat = image.flatten(1)
    low, high = _percentiles(flat[:, _positions(flat.shape[1]).to(flat.device)])
    if bool((low == high).any()):
        known = flat.isfinite()
        least = flat.where(known, torch.inf).amin(1)
        most = flat.where(known, -torch.inf).amax(1)
        low, high = torch.where(low == high, least, low), torch.where(low == high, most, high)
    return low, high


def _percentiles(values: Tensor) -> tuple[Tensor, Tensor]:
    known = values.where(values.isfinite(), torch.nan)
    q = torch.tensor(PERCENTILES, dtype=values.dtype, device=values.device) / 100
    low, high = known.nanquantile(q, dim=1).nan_to_num(0)
    return low, high


@functools.lru_cache(maxsize=16)
def _positions(count: int) -> Tensor:
    """One random pixel in each of `MAX_SAMPLES` equal stretches: no texture of the image can be in step."""
    if count <= MAX_SAMPLES:
        return torch.arange(count)
    jitter = torch.rand(MAX_SAMPLES, generator=generator("intensity", count), dtype=torch.float64)
    return ((torch.arange(MAX_SAMPLES) + jitter) * (count / MAX_SAMPLES)).long().clamp_(max=count - 1)
