"""Maps of a large image in parts that stay in a processor's cache."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ucf_vit.patching.detail.intensity import RobustScale

CACHED = 2**18
"""Pixels of a slab on the CPU; other devices take the image whole."""


def slabs(image: Tensor, halo: int) -> Iterator[tuple[slice, Tensor]]:
    """Parts of `image` `[C, *S]` along its first spatial axis: which rows, and `[C, rows + 2 * halo, ...]`.

    The halo on either side is of neighbouring rows; at the border the image goes on as it ends.
    """
    length = image.shape[1]
    rows = length if image.device.type != "cpu" else max(CACHED * length // image.numel(), 4 * halo, 1)
    for start in range(0, length, rows):
        stop = min(start + rows, length)
        first, last = max(start - halo, 0), min(stop + halo, length)
        before, after = first - (start - halo), stop + halo - last
        part = image[:, first:last]
        if before or after:
            part = torch.cat([part[:, :1]] * before + [part] + [part[:, -1:]] * after, dim=1)
        yield slice(start, stop), part


def local_map(
    image: Tensor, scale: RobustScale, halo: int, separate: bool, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """A map `[T, *S]` (float32) of `image` `[C, *S]` that depends on a pixel's neighbourhood only.

    `function` takes a part of the image on its `scale`, widened by `halo` pixels on each side
    of each spatial axis, to the part's map, channel by channel. If not `separate`, T is 1 and a pixel has the
    largest value of its channels.
    """
    maps = torch.empty(len(image) if separate else 1, *image.shape[1:], device=image.device)
    inner = [halo] * 2 * (image.ndim - 2)
    for rows, part in slabs(image, halo):
        wide = F.pad(scale(part)[None], [*inner, 0, 0], mode="replicate")[0]
        found = function(wide.contiguous())
        maps[:, rows] = found if separate else functools.reduce(torch.maximum, found)
    return maps


class FlatGrid:
    """Neighbours in a flattened image `[C, *S]` (contiguous): along an axis they lie a fixed step apart.

    Arithmetic on one long row is faster than on many short ones. What it makes across the ends of rows lies
    in the border, which `inner` leaves out.
    """

    def __init__(self, image: Tensor) -> None:
        self.shape = image.shape
        self.strides = image.stride()
        self.steps = self.strides[1:]
        self.diagonal = sum(self.steps)

    def smooth(self, values: Tensor, side: int) -> Tensor:
        """Flat `values` smoothed with a binomial kernel of `side`; they begin (side - 1) / 2 further in."""
        if side > 1:
            for step in self.steps:
                for _ in range(side - 1):
                    values = values[step:] + values[:-step]
                values *= 0.5 ** (side - 1)
        return values

    def inner(self, values: Tensor, border: int) -> Tensor:
        """`[C, *S]` less `border` on each side, of `values` that begin at the first pixel inside it."""
        shape = [self.shape[0], *(side - 2 * border for side in self.shape[1:])]
        return values.as_strided(shape, self.strides)
