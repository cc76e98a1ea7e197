"""Scaling of intensities: the robust range of each channel becomes [0, 1]."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from ucf_vit.patching.detail.sample import sample_pixels

OUTLIERS = 0.005
"""Fraction of the pixels on either side of the robust range."""
SAMPLES = 2048
"""Approximate number of pixels from which the range and median of a larger channel are computed."""


@dataclass(frozen=True)
class RobustScale:
    """Scaling of channels to [0, 1] float32 by their robust range, clamped; NaN becomes the lowest value.

    The range lies between the percentiles 0.5 and 99.5 of about 2,048 pixels, which are the same for all
    images of a size, including mirrored and rotated ones (`sample_pixels`). If both percentiles are equal (an
    object that covers less than 0.5 % of an empty background), it is the whole range of the channel. A
    channel without contrast becomes 0. Infinite values and NaN are ignored in the range.
    """

    low: Tensor
    """`[C]`."""
    high: Tensor
    """`[C]`."""

    @functools.cached_property
    def factor(self) -> Tensor:
        """Factors `[C]` that scale the range to 1; 0 for a channel without contrast."""
        return torch.where(self.low < self.high, 1 / (self.high - self.low), 0)

    @classmethod
    def of(cls, image: Tensor) -> RobustScale:
        """Returns the scale of an `image` `[C, *S]` of any real type."""
        flat = image.flatten(1)
        low, high = _robust_range(_sample(image).float())
        if bool((low >= high).any()):
            known = flat.float()
            least = known.nan_to_num(torch.inf, torch.inf, torch.inf).amin(1)
            most = known.nan_to_num(-torch.inf, -torch.inf, -torch.inf).amax(1)
            low, high = torch.where(low < high, low, least), torch.where(low < high, high, most)
        return cls(low, high)

    def __call__(self, part: Tensor) -> Tensor:
        """Returns the image, or a part of it, `[C, *]`, as float32 in [0, 1]."""
        shape = (-1, *[1] * (part.ndim - 1))
        scaled = (part - self.low.view(shape)).float().mul_(self.factor.view(shape)).clamp_(0, 1)
        return scaled.nan_to_num_(0)


def _robust_range(values: Tensor) -> tuple[Tensor, Tensor]:
    """Returns lowest and highest value of each row without `OUTLIERS`; low > high if too few are finite."""
    rank = 1 + int(OUTLIERS * values.shape[1])
    largest = torch.finfo(values.dtype).max
    low = values.nan_to_num(largest, largest, largest).topk(rank, largest=False).values[:, -1]
    high = values.nan_to_num(-largest, -largest, -largest).topk(rank).values[:, -1]
    return low, high


def subtract_median(maps: Tensor, floor: Tensor | float = 0.0) -> Tensor:
    """Subtracts its median from each of the maps `[T, *S]` and clamps them at 0, in place.

    The median is that of about 2,048 pixels. `floor` `[T]` is subtracted instead if it is larger.
    """
    flat = maps.flatten(1)
    median = _sample(maps).median(dim=1).values.clamp_(min=floor)
    return flat.sub_(median[:, None]).clamp_(min=0).view_as(maps)


def _sample(maps: Tensor) -> Tensor:
    """Returns representative values `[C, K]` of `[C, *S]`."""
    return maps.flatten(1).index_select(1, sample_pixels(tuple(maps.shape[1:]), SAMPLES, maps.device))
