"""Maps of a large image, computed in slabs that stay in a processor's cache."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ucf_vit.patching.detail.intensity import RobustScale

SLAB_PIXELS = 2**18
"""Number of pixels of a slab on the CPU; on other devices the whole image is one slab."""


def split_into_slabs(image: Tensor, halo: int) -> Iterator[tuple[slice, Tensor]]:
    """Yields slabs of `image` `[C, *S]` along its first spatial axis: rows, and `[C, rows + 2 * halo, ...]`.

    The halo on either side holds neighbouring rows; at the border the last row is repeated.
    """
    length = image.shape[1]
    rows = length if image.device.type != "cpu" else max(SLAB_PIXELS * length // image.numel(), 4 * halo, 1)
    for start in range(0, length, rows):
        stop = min(start + rows, length)
        first, last = max(start - halo, 0), min(stop + halo, length)
        before, after = first - (start - halo), stop + halo - last
        part = image[:, first:last]
        if before or after:
            part = torch.cat([part[:, :1]] * before + [part] + [part[:, -1:]] * after, dim=1)
        yield slice(start, stop), part


def map_slabs(
    image: Tensor, scale: RobustScale, halo: int, separate: bool, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """Returns a map `[T, *S]` (float32) of `image` `[C, *S]` that depends only on a pixel's neighbourhood.

    `function` maps a slab of the scaled image, with `halo` more pixels on each side of each spatial axis, to
    the slab's map, channel by channel. If not `separate`, T is 1 and a pixel has the largest value of its
    channels.
    """
    maps = torch.empty(len(image) if separate else 1, *image.shape[1:], device=image.device)
    inner = [halo] * 2 * (image.ndim - 2)
    for rows, part in split_into_slabs(image, halo):
        padded = F.pad(scale(part)[None], [*inner, 0, 0], mode="replicate")[0]
        values = function(padded.contiguous())
        maps[:, rows] = values if separate else functools.reduce(torch.maximum, values)
    return maps


class FlatGrid:
    """Steps between neighbouring pixels in a flattened, contiguous image `[C, *S]`.

    Arithmetic on one long row is faster than on many short ones. Values computed across the ends of rows lie
    in the border, which `inner` removes.
    """

    def __init__(self, image: Tensor) -> None:
        self.shape = image.shape
        self.strides = image.stride()
        self.steps = self.strides[1:]
        self.diagonal = sum(self.steps)

    def smooth(self, values: Tensor, side: int) -> Tensor:
        """Returns flat `values` after a binomial kernel of `side`; they begin (side - 1) / 2 further in."""
        if side > 1:
            for step in self.steps:
                for _ in range(side - 1):
                    values = values[step:] + values[:-step]
                values *= 0.5 ** (side - 1)
        return values

    def inner(self, values: Tensor, border: int) -> Tensor:
        """Returns `values`, which begin at the first pixel inside `border`, as `[C, *S]` without border."""
        shape = [self.shape[0], *(side - 2 * border for side in self.shape[1:])]
        return values.as_strided(shape, self.strides)
