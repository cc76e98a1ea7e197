"""One scale of intensities for all images: the robust range of each channel becomes [0, 1]."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from ucf_vit.patching.detail.sample import pixels

OUTLIERS = 0.005
"""Share of the pixels on either side of the robust range."""
SAMPLES = 2048
"""Range and median of a larger channel are those of about so many of its pixels."""


@dataclass(frozen=True)
class RobustScale:
    """Brings channels to [0, 1] float32: their robust range, clamped; NaN counts as the lowest value.

    The range lies between the percentiles 0.5 and 99.5 of about 2,048 pixels, which are the same for all
    images of a size, mirrored and turned ones included (`pixels`). Where those are equal (an object on an
    empty background that covers less than 0.5 %), it is the whole range of the channel. A channel without
    contrast becomes 0. Infinite values and NaN do not count for the range.
    """

    low: Tensor
    """`[C]`."""
    high: Tensor
    """`[C]`."""

    @functools.cached_property
    def factor(self) -> Tensor:
        """`[C]`, 0 for a channel without contrast."""
        return torch.where(self.low < self.high, 1 / (self.high - self.low), 0)

    @classmethod
    def of(cls, image: Tensor) -> RobustScale:
        """The scale of an `image` `[C, *S]` of any real type."""
        flat = image.flatten(1)
        low, high = _robust_range(_sample(image).float())
        if bool((low >= high).any()):
            known = flat.float()
            least = known.nan_to_num(torch.inf, torch.inf, torch.inf).amin(1)
            most = known.nan_to_num(-torch.inf, -torch.inf, -torch.inf).amax(1)
            low, high = torch.where(low < high, low, least), torch.where(low < high, high, most)
        return cls(low, high)

    def __call__(self, part: Tensor) -> Tensor:
        """`[C, *]`, the image or a part of it, as float32 in [0, 1]."""
        shape = (-1, *[1] * (part.ndim - 1))
        scaled = (part - self.low.view(shape)).float().mul_(self.factor.view(shape)).clamp_(0, 1)
        return scaled.nan_to_num_(0)


def _robust_range(values: Tensor) -> tuple[Tensor, Tensor]:
    """Per row, the lowest and highest value but for `OUTLIERS`; low > high if too few are finite."""
    spare = 1 + int(OUTLIERS * values.shape[1])
    most = torch.finfo(values.dtype).max
    low = values.nan_to_num(most, most, most).topk(spare, largest=False).values[:, -1]
    high = values.nan_to_num(-most, -most, -most).topk(spare).values[:, -1]
    return low, high


def above_median(maps: Tensor, floor: Tensor | float = 0.0) -> Tensor:
    """What each of the maps `[T, *S]` has above its median (of about 2,048 pixels) and 0 else, in place.

    Above `floor` `[T]` where that is more than the median.
    """
    flat = maps.flatten(1)
    median = _sample(maps).median(dim=1).values.clamp_(min=floor)
    return flat.sub_(median[:, None]).clamp_(min=0).view_as(maps)


def _sample(maps: Tensor) -> Tensor:
    """Values `[C, K]` of `[C, *S]` that stand for all."""
    return maps.flatten(1).index_select(1, pixels(tuple(maps.shape[1:]), SAMPLES, maps.device))
